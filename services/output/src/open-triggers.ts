import {
  createTriggerRegistry,
  openEventQueue,
  openTriggerReports,
  type Publisher,
  publishNotice,
  removeEventQueue,
  type Shelf,
  subjects,
  triggerConsumer,
  triggerFilters,
  triggerLetters,
  type TriggerName,
} from "@millrace/messaging";
import { outputId } from "@millrace/envelope";
import { CodedError } from "@millrace/errors";
import { Event } from "@millrace/proto/event";
import { type Trigger, TriggerLetter } from "@millrace/proto/trigger";
import { backoffMs, type Component, createEgress, createSecrets, type Runtime } from "@millrace/runtime";
import type { OutputConfig } from "./config.js";
import { anonymizing, type KeptContents } from "./content-requests.js";
import { anonymizeContents } from "./handlers/anonymize-contents.js";
import { type ActOnEventParts, actOnEvent } from "./handlers/act-on-event.js";
import { targetOf } from "./triggers/action.js";
import { createAction } from "./triggers/actions.js";
import { createKafkaProducers } from "./kafka/kafka-producers.js";
import { producerKey } from "./triggers/kafka-record.js";
import { createTargetGate, type TargetGate } from "./triggers/target-gate.js";
import { triggerShelf } from "./trigger-shelf.js";
import { createTriggerRunner } from "./triggers/trigger-runner.js";

/** A failing target is tried again after a second, then after ever longer, up to a minute. */
const pauseMs = { first: 1_000, max: 60_000 };

/** What output does about events: a worker a trigger, each with a consumer of its own. */
export async function openTriggers(
  { triggers: { retryDelaysMs }, egress: { allowPrivate, caFile }, secretsDir }: OutputConfig,
  kept: KeptContents,
): Promise<{ components: Component[]; shelf: Shelf }> {
  const { broker, publisher, runtime } = kept;
  const { clock, log, random, metrics } = runtime;
  const registry = await createTriggerRegistry(broker);
  const secrets = createSecrets({ dir: secretsDir });
  const kafka = createKafkaProducers({ secrets, field: "kafka.connection" });
  registry.onTrigger(({ tenant, trigger, ...of }) => {
    if (trigger?.action?.$case !== "kafka" || trigger.paused) kafka.drop(producerKey(tenant, of));
  });
  const tellEvent = async (tenant: string, event: Event): Promise<void> => {
    const subject = subjects.event(tenant, event.stream, event.type);
    await publisher.publish({ subject, data: Event.encode(event).finish(), id: event.id });
  };
  const act = createAction({
    egress: createEgress({ allow: allowPrivate, caFile }),
    secrets,
    kafka,
    anonymize: anonymizeContents(anonymizing(kept)),
    registry: kept.registry,
    now: clock.now,
    publishNotice: (subject, data, headers) => publishNotice(broker, subject, { data, headers }),
    noticeSubject: subjects.notice,
    tellEvent,
  });
  const tries = metrics.counter("millrace_trigger_tries_total", "Tries of triggers, by how they went.", [
    "action",
    "outcome",
  ]);
  const left = metrics.counter(
    "millrace_trigger_left_total",
    "What events ask of triggers and can't be done, by why.",
    ["action", "reason"],
  );
  const gateOf = createGates(runtime, {
    firstMs: Math.min(pauseMs.first, ...retryDelaysMs),
    maxMs: Math.min(pauseMs.max, Math.max(pauseMs.first, ...retryDelaysMs)),
  });
  const runner = createTriggerRunner({
    onTrigger: registry.onTrigger,
    openQueue: (of, { types, createdMs }) =>
      openEventQueue(broker, {
        name: triggerConsumer(of, createdMs),
        filters: triggerFilters(of, types),
        sinceMs: createdMs,
      }),
    removeQueue: (of, { createdMs }) => removeEventQueue(broker, triggerConsumer(of, createdMs)),
    reports: await openTriggerReports(broker),
    handlerOf: (of, trigger, onOutcome) =>
      actOnEvent({
        tenant: of.tenant,
        trigger,
        act,
        gate: gateOf(targetOf(trigger)),
        retryDelaysMs,
        random,
        bury: bury({ publisher, of, trigger, now: clock.now, tellEvent }),
        onOutcome: (outcome) => {
          tries.inc({ action: trigger.action?.$case ?? "unknown", outcome: outcome.kind });
          onOutcome(outcome);
        },
        onLeft: (reason, count) => left.inc({ action: trigger.action?.$case ?? "unknown", reason }, count),
      }),
    clock,
    log,
  });
  return { components: [kafka, runner, registry], shelf: triggerShelf({ triggers: registry, act }) };
}

/** One a target; kept while the process lives, as few as there are triggers. */
function createGates(
  { clock, random }: Runtime,
  bounds: { firstMs: number; maxMs: number },
): (target: string) => TargetGate {
  const gates = new Map<string, TargetGate>();
  return (target) => {
    const known = gates.get(target);
    if (known !== undefined) return known;
    const gate = createTargetGate({
      monotonic: clock.monotonic,
      sleep: clock.sleep,
      pauseMs: (failures) => backoffMs(failures - 1, random, bounds),
    });
    gates.set(target, gate);
    return gate;
  };
}

interface Burial {
  publisher: Publisher;
  of: TriggerName;
  trigger: Trigger;
  now(): number;
  tellEvent(tenant: string, event: Event): Promise<void>;
}

/** Into DLQ, and told as an event; not so of a dead_letter event, which would tell of itself for ever. */
function bury({ publisher, of, trigger, now, tellEvent }: Burial): ActOnEventParts["bury"] {
  return async ({ event, deliveryId, reason, attempts }) => {
    const timeMs = Math.round(now());
    const letter = { trigger, event, code: "unavailable", reason, attempts, timeMs, cut: false };
    const id = outputId(deliveryId, "trigger-dead", 0);
    const store = (kept: TriggerLetter) =>
      publisher.publish({ subject: triggerLetters(of), data: TriggerLetter.encode(kept).finish(), id });
    await store(letter).catch((caught: unknown) => {
      if (!(caught instanceof CodedError) || caught.code !== "data_loss") throw caught;
      // With the trigger around it an event of 1 MiB is too large for the bus: its head is kept.
      return store({ ...letter, event: { ...event, payload: undefined }, cut: true });
    });
    if (event.type === "dead_letter") return;
    const { code } = letter;
    await tellEvent(of.tenant, {
      id: outputId(id, "dead-letter-event", 0),
      type: "dead_letter",
      stream: event.stream,
      timeMs,
      payload: { $case: "deadLetter", value: { stage: "trigger", code, reason, messages: 0 } },
    });
  };
}

import { CodedError, disposition, present, shownReason } from "@millrace/errors";
import type { OpenBatch } from "@millrace/envelope";
import { backoffMs, type Component, type Runtime } from "@millrace/runtime";
import type { Consumer, ConsumerMessages, JsMsg } from "@nats-io/jetstream";
import type { Broker } from "../broker/broker.js";
import { ackWaitMs, consumerPlans } from "../broker/streams.js";
import type { BatchPublisher } from "./batch-publisher.js";
import type { DeadLetterWriter, RowFailure } from "./dead-letters.js";
import type { LaneTurns } from "../lanes/lane-turns.js";
import type { Outgoing, Published, Publisher } from "./publisher.js";
import { inReceivedSpan } from "./trace-context.js";
import { createWaitingGauge, waitedFor } from "./waiting-gauge.js";

/*
 * The one place where deliveries are settled.
 *
 *   pull ─► open ─► handle ─► verify ─► publish ─► dead-letter rows ─► after() ─► ack
 *              │        │        │         │
 *              └────────┴────────┴─────────┴─► wait:         keep it alive, stop pulling, try again in place
 *                                              retry:        nak with a delay; a few times, then dead-letter
 *                                              dead_letter:  letter stored, then term
 *                                              release:      nak at once, somebody else takes it
 */

/** What a handler makes of a batch. */
export interface Outcome {
  /** Batches for the next stage. */
  batches?: readonly OutgoingBatch[];
  /** Anything else: results, contents, events. */
  publish?: readonly Outgoing[];
  /** Rows that could not be processed; the rest of the batch passes. */
  failures?: readonly RowFailure[];
  /** The whole batch is dropped by a rule, such as `stream_deleted`; counted in a metric by this reason. */
  dropped?: string;
  /**
   * Runs when all that is published is stored, before the ack, with the answers to `publish`: ledger entries.
   */
  after?(published: readonly Published[]): void | Promise<void>;
}

export interface OutgoingBatch {
  subject: string;
  batch: OpenBatch;
}

export type Handler = (open: OpenBatch, signal: AbortSignal) => Promise<Outcome>;

export interface ConsumeOptions {
  broker: Broker;
  runtime: Runtime;
  publisher: Publisher;
  /** Needed where the handler makes batches. */
  batches?: BatchPublisher;
  deadLetters: DeadLetterWriter;
  /** A durable of the consumer plan. */
  consumer: string;
  handle: Handler;
  /** Decodes a delivery and fetches its body. */
  open(data: Uint8Array): Promise<OpenBatch>;
  /**
   * Throws where a batch's body is not any more what was opened: what came of it is dropped then. Runs after
   * the handler and again when a body for the next stage is copied, before its reference is published.
   * `aborted` makes the broker deliver the batch again, if it still has it.
   */
  verify?(open: OpenBatch): void | Promise<void>;
  /** The batch is settled and its body not needed any more. */
  release?(open: OpenBatch): void;
  /** Where both lanes of a stage compete for what handling takes: whose turn it is. */
  turns?: LaneTurns;
  /** Told when whole batches are dead, to count them. */
  onDead?(open: OpenBatch, rows: readonly number[]): Promise<void>;
  /** Deliveries in hand at most: this bound is the back-pressure. */
  inFlightMax: number;
}

/** Deliveries of one batch until an error that retrying may cure is final. */
const deliveriesMax = 5;

/**
 * Deliveries that nobody settled, whatever the reason: a batch that ends every process that takes it.
 * Restarts of healthy services count too, so many more than of errors.
 */
const unsettledDeliveriesMax = 20;

/** A request that found no message ends after this long; its heartbeats notice a broker that went away. */
const pullExpiresMs = 10_000;
const pullAgainMs = 500;

interface Tries {
  made: number;
  waitsFor: string | undefined;
}

export function consumeBatches(options: ConsumeOptions): Component {
  const { broker, runtime, consumer } = options;
  const { log, metrics } = runtime;
  const plan = consumerPlans.find((known) => known.name === consumer);
  if (plan === undefined)
    throw new CodedError("internal", `consume ${consumer}: no such consumer in the plan`);
  const settled = metrics.counter(
    "millrace_deliveries_settled_total",
    "Deliveries by how they were settled.",
    ["consumer", "disposition"],
  );
  const messages = metrics.counter("millrace_messages_processed_total", "Messages in acknowledged batches.", [
    "consumer",
  ]);
  const drops = metrics.counter("millrace_messages_dropped_total", "Messages dropped by a rule.", [
    "consumer",
    "reason",
  ]);
  const duration = metrics.histogram("millrace_handle_duration_seconds", "From delivery to settle.", [
    "consumer",
  ]);
  const inFlight = metrics.gauge("millrace_deliveries_in_flight", "Deliveries in hand.", ["consumer"]);
  const waitingFor = metrics.gauge(
    "millrace_deliveries_waiting",
    "Deliveries waiting for what they depend on.",
    ["consumer"],
  );
  const gauge = createWaitingGauge(metrics, consumer);
  const hard = new AbortController();
  const working = new Set<Promise<void>>();
  let pull: ConsumerMessages | undefined;
  let stopped = false;
  let waiting = 0;
  let lastError: string | undefined;
  let wake: (() => void) | undefined;

  const settle = async (message: JsMsg, as: string, how: () => void | Promise<unknown>): Promise<void> => {
    await how();
    settled.inc({ consumer, disposition: as });
  };

  const run = async (message: JsMsg): Promise<void> => {
    const opened = await options.open(message.data);
    const done = await options.turns?.take(plan.lane);
    const outcome = await options.handle(opened, hard.signal).finally(done);
    const verify = (): void | Promise<void> => options.verify?.(opened);
    await verify();
    const [published] = await Promise.all([
      Promise.all((outcome.publish ?? []).map((out) => options.publisher.publish(out))),
      ...(outcome.batches ?? []).map((out) =>
        present(options.batches, "batch publisher").publish(out.batch, out.subject, verify),
      ),
    ]);
    const failures = outcome.failures ?? [];
    for (const failure of failures) {
      await options.deadLetters.write(opened, [failure.row], failure.error, message.info.deliveryCount);
    }
    const dead = failures.map((failure) => failure.row);
    if (dead.length > 0) await options.onDead?.(opened, dead);
    if (outcome.dropped !== undefined) drops.inc({ consumer, reason: outcome.dropped }, opened.header.count);
    await outcome.after?.(published);
    messages.inc({ consumer }, opened.header.count);
    options.release?.(opened);
  };

  const deadLetter = async (message: JsMsg, error: CodedError): Promise<void> => {
    const tokens = message.subject.split(".");
    const of = {
      tenant: tokens.at(-2) ?? "",
      stream: tokens.at(-1) ?? "",
      id: message.headers?.get("Nats-Msg-Id") ?? String(message.seq),
    };
    let opened: OpenBatch | undefined;
    try {
      opened = await options.open(message.data);
    } catch {
      await options.deadLetters.writeUndecodable(message.data, of, error);
      return;
    }
    const rows = Array.from({ length: opened.header.count }, (_, row) => row);
    await options.deadLetters.write(opened, rows, error, message.info.deliveryCount);
    await options.onDead?.(opened, rows);
  };

  /**
   * Tries until it is settled one way or another; only waiting goes round, and stops the pulling for as long.
   */
  const work = async (message: JsMsg): Promise<void> => {
    const tries: Tries = { made: 0, waitsFor: undefined };
    try {
      await tryUntilSettled(message, tries);
    } finally {
      gauge.move(tries.waitsFor, undefined);
      if (tries.made > 0) countWaiting(-1);
    }
  };

  const tryUntilSettled = async (message: JsMsg, tries: Tries): Promise<void> => {
    for (;;) {
      let failed: CodedError;
      try {
        if (message.info.deliveryCount > unsettledDeliveriesMax) {
          throw new CodedError(
            "data_loss",
            `process batch: ${message.info.deliveryCount} deliveries were not settled`,
          );
        }
        await run(message);
        lastError = undefined;
        return await settle(message, "ack", () => message.ackAck({ timeout: 5_000 }).catch(() => false));
      } catch (caught) {
        failed = CodedError.from(caught, "process batch");
      }
      let verdict = disposition(failed.code);
      if (hard.signal.aborted || (stopped && verdict === "wait")) verdict = "release";
      if (verdict === "retry" && message.info.deliveryCount >= deliveriesMax) verdict = "dead_letter";
      lastError = `${failed.code}: ${shownReason(failed)}`;
      try {
        if (verdict === "done") return await settle(message, "ack", () => message.ack());
        if (verdict === "release") return await settle(message, "release", () => message.nak());
        if (verdict === "retry") {
          log.warn("batch failed, the broker will deliver it again", {
            consumer,
            seq: message.seq,
            code: failed.code,
            error: shownReason(failed),
          });
          return await settle(message, "nak", () => message.nak(500 * 2 ** message.info.deliveryCount));
        }
        if (verdict === "dead_letter") {
          log.error("batch dead-lettered", {
            consumer,
            seq: message.seq,
            code: failed.code,
            error: shownReason(failed),
          });
          await deadLetter(message, failed);
          return await settle(message, "term", () => message.term(failed.code));
        }
      } catch (caught) {
        // The dead-letter stream may be full or away itself: that stops the line, it never drops.
        lastError = CodedError.from(caught, "dead-letter").message;
      }
      if (tries.made % 20 === 0) {
        log.warn("waiting for what this batch depends on", {
          consumer,
          code: failed.code,
          error: shownReason(failed),
        });
      }
      const pauseMs = backoffMs(tries.made, runtime.random, { firstMs: 50, maxMs: 2_000 });
      if (tries.made === 0) countWaiting(1);
      tries.made += 1;
      gauge.move(tries.waitsFor, waitedFor(failed));
      tries.waitsFor = waitedFor(failed);
      await runtime.clock.sleep(pauseMs, hard.signal);
    }
  };

  const countWaiting = (change: 1 | -1): void => {
    waiting += change;
    waitingFor.set({ consumer }, waiting);
    wake?.();
  };

  const take = (message: JsMsg): void => {
    const started = runtime.clock.monotonic();
    const alive = setInterval(() => message.working(), ackWaitMs / 3);
    const named = { operation: "process" as const, destination: consumer };
    const done = inReceivedSpan(message.headers, named, () => work(message))
      .catch((caught: unknown) =>
        log.error("delivery could not be settled", { consumer, error: String(caught) }),
      )
      .finally(() => {
        clearInterval(alive);
        working.delete(done);
        wake?.();
        inFlight.set({ consumer }, working.size);
        duration.observe({ consumer }, (runtime.clock.monotonic() - started) / 1000);
      });
    working.add(done);
    inFlight.set({ consumer }, working.size);
  };

  /**
   * Asks for exactly as many as there is room for, and takes each at once: none waits in the client
   * unattended.
   */
  const pullOnce = async (source: Consumer): Promise<void> => {
    while (!stopped && (working.size >= options.inFlightMax || waiting > 0)) {
      await new Promise<void>((done) => (wake = done));
    }
    if (stopped) return;
    pull = await source.fetch({ max_messages: options.inFlightMax - working.size, expires: pullExpiresMs });
    for await (const message of pull) {
      if (stopped) message.nak();
      else take(message);
    }
  };

  const loop = async (): Promise<void> => {
    while (!stopped) {
      try {
        const source = await broker.js.consumers.get(plan.stream, consumer);
        while (!stopped) await pullOnce(source);
      } catch (caught) {
        if (stopped) return;
        log.warn("pull failed, starting it again", { consumer, error: String(caught) });
        await runtime.clock.sleep(pullAgainMs, hard.signal);
      }
    }
  };

  let running: Promise<void> | undefined;
  return {
    name: `consumer ${consumer}`,
    start: async () => {
      running = loop();
    },
    stop: async (signal) => {
      stopped = true;
      signal.addEventListener("abort", () => hard.abort(), { once: true });
      pull?.stop();
      wake?.();
      await Promise.all(working);
      await running;
    },
    health: () => (waiting > 0 ? `waiting: ${lastError ?? "unknown"}` : undefined),
  };
}

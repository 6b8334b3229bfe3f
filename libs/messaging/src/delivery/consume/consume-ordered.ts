import type { Component } from "@millrace/runtime";
import type { ConsumerMessages } from "@nats-io/jetstream";
import { type ConsumerPlan, consumerPlans, readerGroup } from "../../broker/streams.js";
import { endPull } from "./end-pull.js";
import { createHand, type Hand } from "./hand/hand.js";
import type { StageOptions } from "./options.js";

const expiresMs = 5_000;
const pullAgainMs = 500;

/**
 * Consumes the partitions of ordered streams, each by one reader of all replicas and one delivery at a time:
 * the next one comes when what came of this one is stored. The broker pins a partition to whoever reads it
 * first, until that one falls silent; the client names the group and the pin in each request.
 */
export function consumeOrdered(options: StageOptions & { stage: string }): Component {
  const { stage } = options;
  const plans = consumerPlans.filter((plan) => plan.stage === stage && plan.ordered === true);
  const hand = createHand({ stage, consumer: `${stage}-ordered`, options, inFlightMax: plans.length });
  const pulls = new Set<ConsumerMessages>();
  const asking = new AbortController();
  let ended: Promise<unknown> | undefined;
  return {
    name: `consumer ${stage}-ordered`,
    start: async () => {
      ended = Promise.all(
        plans.map((plan) => readPartition(plan, { hand, options, pulls, asking: asking.signal })),
      );
    },
    stop: async (signal) => {
      asking.abort();
      await Promise.all([...pulls].map((pull) => endPull(pull, options.runtime.clock)));
      await hand.stop(signal);
      await ended;
    },
    health: hand.health,
  };
}

interface Reading {
  hand: Hand;
  options: StageOptions;
  /** Those that are open. */
  pulls: Set<ConsumerMessages>;
  /** Aborted when no more is asked for; what arrives nevertheless is worked on. */
  asking: AbortSignal;
}

async function readPartition(
  { stream, name }: ConsumerPlan,
  { hand, options, pulls, asking }: Reading,
): Promise<void> {
  const { broker, runtime, parking } = options;
  while (!asking.aborted) {
    let pull: ConsumerMessages | undefined;
    let askedAt = runtime.clock.monotonic();
    try {
      const source = await broker.js.consumers.get(stream, name);
      const group = { group: readerGroup } as { group: string; min_pending: never; min_ack_pending: never };
      pull = await source.consume({ max_messages: 1, expires: expiresMs, ...group });
      pulls.add(pull);
      // A stop that came meanwhile did not know of it.
      if (asking.aborted) pull.stop();
      let reader = "";
      for await (const message of pull) {
        if (hand.isStopped()) {
          await hand.giveBack(message);
          continue;
        }
        const pin = message.headers?.get("Nats-Pin-Id") ?? "";
        // Another replica read until now, and may have parked batches that go before this one.
        if (pin !== reader) await parking?.refresh();
        reader = pin;
        // It was asked for while the last one was worked on, and delivered when that was settled.
        askedAt = await hand.take(message, askedAt);
      }
    } catch (caught) {
      if (asking.aborted) return;
      runtime.log.warn("pull failed, starting it again", { consumer: name, error: String(caught) });
      await runtime.clock.sleep(pullAgainMs, hand.signal);
    } finally {
      if (pull !== undefined) {
        pull.stop();
        pulls.delete(pull);
      }
    }
  }
}

import type { Component } from "@millrace/runtime";
import { type ConsumerPlan, consumerPlans, readerGroup } from "../../broker/streams.js";
import { createHand, type Hand } from "./hand/hand.js";
import type { StageOptions } from "./options.js";
import { createPulls, type Pulls } from "./pulls.js";

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
  const of = { stage, consumer: `${stage}-ordered`, inFlightMax: plans.length, isInLine: true };
  const hand = createHand({ ...of, options });
  const pulls = createPulls(hand, options.runtime.clock);
  let ended: Promise<unknown> | undefined;
  return {
    name: `consumer ${stage}-ordered`,
    start: async () => {
      ended = Promise.all(plans.map((plan) => readPartition(plan, { hand, pulls, options })));
    },
    stop: async (signal) => {
      await pulls.stop(signal);
      await ended;
    },
    health: hand.health,
  };
}

async function readPartition(
  { stream, name }: ConsumerPlan,
  { hand, pulls, options }: { hand: Hand; pulls: Pulls; options: StageOptions },
): Promise<void> {
  const { broker, runtime, parking } = options;
  while (!pulls.isOver()) {
    let askedAt = runtime.clock.monotonic();
    let reader = "";
    try {
      const source = await broker.js.consumers.get(stream, name);
      const group = { group: readerGroup } as { group: string; min_pending: never; min_ack_pending: never };
      const pull = await source.consume({ max_messages: 1, expires: expiresMs, ...group });
      await pulls.read(pull, async (message) => {
        const pin = message.headers?.get("Nats-Pin-Id") ?? "";
        // Another replica read until now, and may have parked batches that go before this one.
        if (pin !== reader) await parking?.refresh();
        reader = pin;
        // It was asked for while the last one was worked on, and delivered when that was settled.
        askedAt = await hand.take(message, askedAt);
      });
    } catch (caught) {
      if (pulls.isOver()) return;
      runtime.log.warn("pull failed, starting it again", { consumer: name, error: String(caught) });
      await runtime.clock.sleep(pullAgainMs, hand.signal);
    }
  }
}

import { CodedError } from "@millrace/errors";
import type { Component } from "@millrace/runtime";
import type { Consumer } from "@nats-io/jetstream";
import { type ConsumerPlan, consumerPlans } from "../broker/streams.js";
import { createHand, type Hand } from "./consume/hand/hand.js";
import type { StageOptions } from "./consume/options.js";
import { createPulls, type Pulls } from "./consume/pulls.js";

/*
 * The one place where deliveries are settled.
 *
 *   pull ─► place ─► attempt ─► open ─► handle ─► verify ─► publish ─► dead-letter rows ─► after() ─► ack
 *             │                  │        │         │         │
 *             │      ┌───────────┴────────┴─────────┴─────────┘
 *             │      ├─► wait:         keep it alive, stop pulling, try again in place
 *             │      ├─► park:         only its stream is blocked: 2 s in place, then into PARKED, ack
 *             │      ├─► later:        PARKED is full too: nak with a delay, and the others go on; no attempt
 *             │      ├─► retry:        nak with a delay; from the third attempt on tried alone in a child
 *             │      │                 process, which finds the messages at fault; the fifth is final
 *             │      ├─► dead_letter:  letter stored, then term
 *             │      ├─► release:      nak at once, somebody else takes it; no attempt
 *             │      └─► lost:         it stood still past its lease: nothing is told, another has it
 *             └─ held while its stream has `parallelism` deliveries in hand; where many stand, later
 *
 * consume/pulls.ts ends the asking at a stop, hand/ has what is in hand, settle-delivery.ts the verdicts,
 * process-batch.ts the line above, parking.ts PARKED, consume-ordered.ts the partitions of ordered streams,
 * trial/ the child process.
 */
export interface ConsumeOptions extends StageOptions {
  /** A durable of the consumer plan. */
  consumer: string;
  /** Deliveries in hand at most: this bound is the back-pressure. */
  inFlightMax: number;
}

/** A request that found no message ends after this long; its heartbeats notice a broker that went away. */
const pullExpiresMs = 10_000;
const pullAgainMs = 500;

export function consumeBatches(options: ConsumeOptions): Component {
  const { consumer, inFlightMax, runtime } = options;
  const plan = planOf(consumer);
  const hand = createHand({ stage: plan.stage, consumer, options, inFlightMax });
  const pulls = createPulls(hand, runtime.clock);
  let ended: Promise<void> | undefined;
  return {
    name: `consumer ${consumer}`,
    start: async () => {
      ended = pullFrom(plan, { hand, pulls, options });
    },
    stop: async (signal) => {
      await pulls.stop(signal);
      await ended;
    },
    health: hand.health,
  };
}

export function planOf(consumer: string): ConsumerPlan {
  const plan = consumerPlans.find((known) => known.name === consumer);
  if (plan === undefined)
    throw new CodedError("internal", `consume ${consumer}: no such consumer in the plan`);
  return plan;
}

/**
 * Asks for exactly as many as there is room for, and takes each at once: none waits in the client
 * unattended.
 */
async function pullFrom(
  { stream, name }: ConsumerPlan,
  { hand, pulls, options }: { hand: Hand; pulls: Pulls; options: StageOptions },
): Promise<void> {
  const { broker, runtime } = options;
  const pullOnce = async (source: Consumer): Promise<void> => {
    while (!pulls.isOver() && hand.room() === 0) await hand.changed();
    if (pulls.isOver()) return;
    const askedAt = runtime.clock.monotonic();
    const pull = await source.fetch({ max_messages: hand.room(), expires: pullExpiresMs });
    await pulls.read(pull, (message) => void hand.take(message, askedAt));
  };
  while (!pulls.isOver()) {
    try {
      const source = await broker.js.consumers.get(stream, name);
      while (!pulls.isOver()) await pullOnce(source);
    } catch (caught) {
      if (pulls.isOver()) return;
      runtime.log.warn("pull failed, starting it again", { consumer: name, error: String(caught) });
      await runtime.clock.sleep(pullAgainMs, hand.signal);
    }
  }
}

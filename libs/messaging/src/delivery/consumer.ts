import { CodedError } from "@millrace/errors";
import type { Component } from "@millrace/runtime";
import type { Consumer, ConsumerMessages } from "@nats-io/jetstream";
import { type ConsumerPlan, consumerPlans } from "../broker/streams.js";
import { endPull } from "./consume/end-pull.js";
import { createHand, type Hand } from "./consume/hand/hand.js";
import type { StageOptions } from "./consume/options.js";

/*
 * The one place where deliveries are settled.
 *
 *   pull ─► place ─► attempt ─► open ─► handle ─► verify ─► publish ─► dead-letter rows ─► after() ─► ack
 *             │                  │        │         │         │
 *             │      ┌───────────┴────────┴─────────┴─────────┘
 *             │      ├─► wait:         keep it alive, stop pulling, try again in place
 *             │      ├─► park:         only its stream is blocked: 2 s in place, then into PARKED, ack
 *             │      ├─► retry:        nak with a delay; from the third attempt on tried alone in a child
 *             │      │                 process, which finds the messages at fault; the fifth is final
 *             │      ├─► dead_letter:  letter stored, then term
 *             │      ├─► release:      nak at once, somebody else takes it; no attempt
 *             │      └─► lost:         it stood still past its lease: nothing is told, another has it
 *             └─ held while its stream has `parallelism` deliveries in hand
 *
 * consume/hand/ has what is in hand, settle-delivery.ts the verdicts, process-batch.ts the line above,
 * parking.ts PARKED, consume-ordered.ts the partitions of ordered streams, trial/ the child process.
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
  const { consumer, inFlightMax } = options;
  const plan = planOf(consumer);
  const hand = createHand({ stage: plan.stage, consumer, options, inFlightMax });
  return handComponent(`consumer ${consumer}`, hand, () => pullFrom(plan, hand, options));
}

export function planOf(consumer: string): ConsumerPlan {
  const plan = consumerPlans.find((known) => known.name === consumer);
  if (plan === undefined)
    throw new CodedError("internal", `consume ${consumer}: no such consumer in the plan`);
  return plan;
}

/** A component that runs a loop until it is stopped. */
export function handComponent(name: string, hand: Hand, loop: () => Pulling): Component {
  let pulling: Pulling | undefined;
  return {
    name,
    start: async () => {
      pulling = loop();
    },
    stop: async (signal) => {
      // What arrives until then is worked on: given back, the broker would hand it out a second time.
      await pulling?.stop();
      await hand.stop(signal);
      await pulling?.ended;
    },
    health: hand.health,
  };
}

export interface Pulling {
  /** Resolves when nothing arrives any more. */
  stop(): Promise<void>;
  ended: Promise<void>;
}

/**
 * Asks for exactly as many as there is room for, and takes each at once: none waits in the client
 * unattended.
 */
function pullFrom({ stream, name }: ConsumerPlan, hand: Hand, options: StageOptions): Pulling {
  const { broker, runtime } = options;
  let pull: ConsumerMessages | undefined;
  let isOver = false;
  const pullOnce = async (source: Consumer): Promise<void> => {
    while (!isOver && hand.room() === 0) await hand.changed();
    if (isOver) return;
    const askedAt = runtime.clock.monotonic();
    pull = await source.fetch({ max_messages: hand.room(), expires: pullExpiresMs });
    // A stop that came meanwhile did not know of it. Nothing is asked for before the first look.
    if (isOver) return pull.stop();
    for await (const message of pull) {
      if (hand.isStopped()) await hand.giveBack(message);
      else void hand.take(message, askedAt);
    }
  };
  const loop = async (): Promise<void> => {
    while (!isOver) {
      try {
        const source = await broker.js.consumers.get(stream, name);
        while (!isOver) await pullOnce(source);
      } catch (caught) {
        if (isOver) return;
        runtime.log.warn("pull failed, starting it again", { consumer: name, error: String(caught) });
        await runtime.clock.sleep(pullAgainMs, hand.signal);
      }
    }
  };
  const stop = async (): Promise<void> => {
    isOver = true;
    if (pull !== undefined) await endPull(pull, runtime.clock);
  };
  return { stop, ended: loop() };
}

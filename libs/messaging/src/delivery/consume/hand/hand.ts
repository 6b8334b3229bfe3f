import { setMaxListeners } from "node:events";
import type { JsMsg } from "@nats-io/jetstream";
import { inReceivedSpan } from "../../trace-context.js";
import { createWaitingGauge } from "../../waiting-gauge.js";
import { createAcks } from "./acks.js";
import { createAttempts } from "./attempts.js";
import { createPulse, keepLease, type Lease } from "./lease.js";
import { heldMax } from "./places/held.js";
import { createJams } from "./places/jams.js";
import { createMeters } from "./meters.js";
import { createReturns } from "./places/returns.js";
import type { StageOptions } from "../options.js";
import type { Delivery } from "../process-batch.js";
import { settleDelivery } from "../settle-delivery.js";
import { createSlots } from "./places/slots.js";
import { createSuspects } from "./suspects.js";

/** Deliveries in hand, each on its way to be settled. */
export interface Hand {
  /**
   * Takes a delivery that was asked for at this monotonic time. Resolves when it is settled, with the time
   * when the broker was told: it delivers the next one then, where one goes at a time.
   */
  take(message: JsMsg, askedAt: number): Promise<number>;
  /** A delivery that came too late to be worked on. */
  giveBack(message: JsMsg): Promise<void>;
  /** Deliveries to ask for now: none while one waits for what all of them need. */
  room(): number;
  /** Resolves at the next change of `room`, or at the stop. */
  changed(): Promise<void>;
  isStopped(): boolean;
  /** Aborted when work in flight is given up. */
  signal: AbortSignal;
  /** Takes no more, and resolves when all is settled or given back. */
  stop(hard: AbortSignal): Promise<void>;
  health(): string | undefined;
}

export interface HandOptions {
  stage: string;
  consumer: string;
  options: StageOptions;
  inFlightMax: number;
  isParked?: boolean;
  /** One delivery at a time: given back, it would come again before any other, so that it waits in place. */
  isInLine?: boolean;
}

/** It sleeps, is on trial, or asks models for texts and for sentiment. */
const listenersPerDelivery = 4;

/** What a stream that stands gives back: it takes four in a second at most. */
const standingApartMs = 20;

/** It grows: nothing is missed by coming less often, up to a bound that shows when the stream goes on. */
const jammedDelay = ({ info }: JsMsg): { firstMs: number } => ({
  firstMs: 500 * 2 ** Math.min(4, info.deliveryCount - 1),
});

export function createHand(of: HandOptions): Hand {
  const { stage, consumer, options, inFlightMax, isParked = false } = of;
  const { runtime } = options;
  const { log, clock } = runtime;
  const meters = createMeters(runtime.metrics, consumer);
  const attempts = createAttempts(options.broker, stage);
  const acks = createAcks(options.broker, { each: isParked });
  const suspects = createSuspects(attempts);
  const pulse = createPulse(clock);
  const hard = new AbortController();
  // Each delivery listens, by what it waits for and what works on it: more than ten are no leak.
  setMaxListeners(listenersPerDelivery * (inFlightMax + heldMax), hard.signal);
  const working = new Set<Promise<unknown>>();
  let wake: (() => void)[] = [];
  let stopped = false;
  let waiting = 0;
  /** Given back, while that is written down: they take places, so that no crowd of them gathers. */
  let leaving = 0;
  let waitsFor = "unknown";
  const tell = (): void => {
    for (const each of wake.splice(0)) each();
    meters.inHand(working.size);
  };
  const parallelismOf = (name: string): number => {
    const [tenant = "", stream = ""] = name.split(".");
    const wanted = options.parallelismOf?.(tenant, stream) ?? 0;
    return Math.min(inFlightMax, wanted === 0 ? (options.parallelismDefault ?? inFlightMax) : wanted);
  };
  const slots = createSlots({ clock, inFlightMax, parallelismOf, onRoom: tell });
  const gauge = createWaitingGauge(runtime.metrics, consumer);
  const returns = createReturns(clock);
  const jams = createJams({
    clock,
    placesMax: Math.ceil(inFlightMax / 2),
    onJam: (stream, by, waitsFor) => {
      if (by === -1) return gauge.move(waitsFor, undefined);
      gauge.move(undefined, waitsFor);
      log.warn("only this stream is blocked: its batches are given back", { consumer, stream, waitsFor });
    },
  });
  const parts = {
    consumer,
    options,
    attempts,
    acks,
    isParked,
    gauge,
    jams: isParked || of.isInLine === true ? undefined : jams,
    delayJammedMs: (message: JsMsg, stream: string): number => returns.delayMs(stream, jammedDelay(message)),
    isStopped: () => stopped,
    countWaiting: (by: 1 | -1, why: string) => {
      waiting += by;
      if (by === 1) waitsFor = why;
      meters.waiting(waiting);
      tell();
    },
  };

  const giveBack = async (message: JsMsg): Promise<void> => {
    await attempts.takeBack(message, false).catch(() => undefined);
    message.nak();
  };
  /** Its stream has no place for it now. */
  const giveBackLater = async (message: JsMsg, lease: Lease, delayMs: () => number): Promise<void> => {
    leaving += 1;
    await attempts.takeBack(message, false).catch(() => undefined);
    leaving -= 1;
    if (lease.isLost()) return meters.settled("lost");
    message.nak(stopped ? undefined : delayMs());
    meters.settled("later");
  };

  const work = async (message: JsMsg, askedAt: number): Promise<number> => {
    const began = clock.monotonic();
    let toldAt = began;
    const lease = keepLease(message, clock, pulse.arrivedAt(askedAt));
    // The last two tokens of every subject.
    const stream = message.subject.split(".").slice(-2).join(".");
    const leaveJam = jams.enter(stream);
    try {
      if (leaveJam === undefined) {
        await giveBackLater(message, lease, () => parts.delayJammedMs(message, stream));
        return toldAt;
      }
      const as = await slots.enter(stream);
      if (as === "later") {
        await giveBackLater(message, lease, () => returns.delayMs(stream, { apartMs: standingApartMs }));
        return toldAt;
      }
      if (as === "closed") {
        await giveBack(message);
        return toldAt;
      }
      const delivery: Delivery = {
        message,
        stream,
        lease,
        attempt: 1,
        ended: 0,
        signal: hard.signal,
        meters,
        aside: async (elsewhere) => {
          slots.stepAside(stream);
          return elsewhere().finally(() => slots.stepBack(stream));
        },
        alone: (passOn) => suspects.alone(message, hard.signal, passOn),
        tells: () => {
          toldAt = clock.monotonic();
        },
      };
      const named = { operation: "process" as const, destination: consumer };
      await inReceivedSpan(message.headers, named, () => settleDelivery(delivery, parts))
        .catch((caught: unknown) =>
          log.error("delivery could not be settled", { consumer, error: String(caught) }),
        )
        .finally(() => slots.leave(stream));
      return toldAt;
    } finally {
      leaveJam?.();
      lease.end();
      meters.took((clock.monotonic() - began) / 1000);
    }
  };

  return {
    take: (message, askedAt) => {
      const done: Promise<number> = work(message, askedAt).finally(() => {
        working.delete(done);
        tell();
      });
      working.add(done);
      meters.inHand(working.size);
      return done;
    },
    giveBack,
    room: () => (waiting > 0 ? 0 : Math.max(0, slots.room() - leaving)),
    changed: () => new Promise((done) => wake.push(done)),
    isStopped: () => stopped,
    signal: hard.signal,
    stop: async (signal) => {
      stopped = true;
      if (signal.aborted) hard.abort();
      signal.addEventListener("abort", () => hard.abort(), { once: true });
      slots.close();
      tell();
      await Promise.all(working);
      await acks.confirmed();
      pulse.stop();
    },
    health: () => (waiting > 0 ? `waiting: ${waitsFor}` : undefined),
  };
}

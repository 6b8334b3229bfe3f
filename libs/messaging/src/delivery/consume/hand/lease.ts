import type { Clock } from "@millrace/runtime";
import { ackWaitMs } from "../../../broker/streams.js";

/**
 * A process can stand still for longer than the broker waits: stopped by a signal, a frozen container, a
 * sleeping laptop. Its deliveries are somebody else's by then. Both times are monotonic ones, which go on
 * meanwhile.
 */
export interface Pulse {
  /**
   * When a message may have reached this process that was asked for at `askedAt` and is read now: it may have
   * lain in the socket through a pause.
   */
  arrivedAt(askedAt: number): number;
  stop(): void;
}

const beatMs = 500;
/** A gap of this much is a pause; below it is a busy event loop. */
const pauseMs = 2_000;
/** A loop that goes on reads its sockets in its first rounds: what is read later came after the pause. */
const readAgainMs = 5_000;

export function createPulse(clock: Clock): Pulse {
  let beatAt = clock.monotonic();
  let pause = { from: 0, to: Number.NEGATIVE_INFINITY };
  const beat = (): number => {
    const now = clock.monotonic();
    if (now - beatAt > pauseMs) {
      // Right behind another one it is one pause: nothing was read in between.
      pause = { from: beatAt - pause.to <= beatMs ? pause.from : beatAt, to: now };
    }
    beatAt = now;
    return now;
  };
  const timer = setInterval(beat, beatMs).unref();
  return {
    arrivedAt: (askedAt) => {
      const now = beat();
      const mayHaveLain = pause.to > askedAt && now - pause.to <= readAgainMs;
      return mayHaveLain ? Math.max(askedAt, pause.from) : now;
    },
    stop: () => clearInterval(timer),
  };
}

/** The time for which the broker leaves a delivery with us. */
export interface Lease {
  /** Once true, the broker may have given the delivery to another: nothing that came of it may be told. */
  isLost(): boolean;
  end(): void;
}

/** Says `working` every third of the lease, and notices when that came too late. */
export function keepLease(message: { working(): void }, clock: Clock, arrivedAt: number): Lease {
  let extendedAt = arrivedAt;
  let lost = false;
  const isLost = (): boolean => {
    lost ||= clock.monotonic() - extendedAt > ackWaitMs;
    return lost;
  };
  const timer = setInterval(() => {
    if (isLost()) return clearInterval(timer);
    message.working();
    extendedAt = clock.monotonic();
  }, ackWaitMs / 3);
  return { isLost, end: () => clearInterval(timer) };
}

import type { ConsumerState, QueueState } from "@millrace/messaging";
import type { SequenceTimes } from "./sequence-times.js";

/** What one consumer was from one sample to the next. */
export interface Stretch {
  fromMs: number;
  toMs: number;
  /** Batches that it settled. */
  settled: number;
  /** It had something to do at the beginning or at the end. */
  isBusy: boolean;
}

export interface Reading {
  lagBatches: number;
  oldestAgeMs: number;
  stretches: readonly Stretch[];
}

/** What is known of one consumer, from samples of it. */
export interface ConsumerTrack {
  add(atMs: number, state: ConsumerState, queue: QueueState): void;
  /** The sample failed. `isGone`: there is no such consumer, so what was known of it is not true any more. */
  fail(sentence: string, isGone: boolean): void;
  /** Undefined: unknown, for the reason that `problem` tells. */
  read(nowMs: number): Reading | undefined;
  problem(): string;
}

export interface TrackOptions {
  name: string;
  times: SequenceTimes;
  /** Rates are of this long. */
  windowMs: number;
  /** An older sample says nothing any more. */
  staleMs: number;
}

interface Sample {
  atMs: number;
  state: ConsumerState;
  queue: QueueState;
}

const lagOf = ({ pending, ackPending }: ConsumerState): number => pending + ackPending;

export function createConsumerTrack({ name, times, windowMs, staleMs }: TrackOptions): ConsumerTrack {
  let last: Sample | undefined;
  let idleMs: number | undefined;
  let stretches: Stretch[] = [];
  let why = "not sampled yet";

  const reset = (): void => {
    last = undefined;
    idleMs = undefined;
    stretches = [];
  };
  return {
    add: (atMs, state, queue) => {
      if (last !== undefined && (isOther(last, { state, queue }) || atMs - last.atMs > staleMs)) reset();
      const sample = { atMs, state, queue };
      if (last !== undefined) stretches.push(stretchOf(last, sample));
      stretches = stretches.filter(({ toMs }) => toMs > atMs - windowMs);
      if (lagOf(state) === 0) idleMs = atMs;
      last = sample;
      why = "its last sample is too old";
    },
    fail: (sentence, isGone) => {
      why = sentence;
      if (isGone) reset();
    },
    read: (nowMs) => {
      if (last === undefined || nowMs - last.atMs > staleMs) return undefined;
      const lagBatches = lagOf(last.state);
      const floorMs = times.lastAtOrBelow(last.state.floorSeq);
      // Each bounds the age from above: the tightest is told.
      const sinceMs = [last.atMs - last.queue.oldestMs, floorMs ?? -Infinity, idleMs ?? -Infinity];
      const oldestAgeMs = lagBatches === 0 ? 0 : Math.max(0, nowMs - Math.max(...sinceMs));
      return { lagBatches, oldestAgeMs, stretches };
    },
    problem: () => `consumer ${name}: ${why}`,
  };
}

/** The consumer or its stream was made anew: its numbers have nothing to do with those before. */
function isOther(one: Sample, other: Pick<Sample, "state" | "queue">): boolean {
  return (
    one.state.createdMs !== other.state.createdMs ||
    one.queue.createdMs !== other.queue.createdMs ||
    other.state.deliveries < one.state.deliveries ||
    other.queue.lastSeq < one.queue.lastSeq
  );
}

/**
 * Settled is what was delivered first, less what is in hand more than before. The broker counts deliveries,
 * repeated ones too; of those, what was repeated for the first time is known. And no more can have been
 * delivered first than left the waiting ones plus what came into the stream: a batch that is given back again
 * and again is no progress.
 */
function stretchOf(before: Sample, after: Sample): Stretch {
  const deliveries = after.state.deliveries - before.state.deliveries;
  const repeated = Math.max(0, after.state.redelivered - before.state.redelivered);
  const left = before.state.pending - after.state.pending + (after.queue.lastSeq - before.queue.lastSeq);
  const first = Math.max(0, Math.min(deliveries - repeated, left));
  return {
    fromMs: before.atMs,
    toMs: after.atMs,
    settled: Math.max(0, first + before.state.ackPending - after.state.ackPending),
    isBusy: lagOf(before.state) > 0 || lagOf(after.state) > 0,
  };
}

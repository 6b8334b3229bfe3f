import type { Tailed } from "@millrace/messaging";
import { type ReplayedRow, rowsOfResult } from "./replayed-row.js";

export interface StoredResultsOptions {
  bounds(): Promise<{ first: number; last: number }>;
  /** Result messages of the stream that are stored. */
  count(): Promise<number>;
  /** A reader of its own, which no other one notices. */
  tail(from: number, signal: AbortSignal): AsyncGenerator<Tailed>;
  sleep(ms: number, signal: AbortSignal): Promise<void>;
  signal: AbortSignal;
}

/** What is stored comes at once: after so long without anything, the rest was discarded meanwhile. */
const silenceMs = 5_000;

/** The messages that are kept as results when it begins, in the order in which they came out. */
export async function* readResults(options: StoredResultsOptions): AsyncGenerator<ReplayedRow> {
  const { first, last } = await options.bounds();
  if ((await options.count()) === 0) return;
  const ended = new AbortController();
  const signal = AbortSignal.any([options.signal, ended.signal]);
  const tailed = options.tail(first, signal);
  try {
    while (!signal.aborted) {
      const waited = new AbortController();
      const silence = options.sleep(silenceMs, AbortSignal.any([signal, waited.signal]));
      const next = tailed.next();
      const item = await Promise.race([next, silence.then(() => undefined)]);
      waited.abort();
      if (item === undefined) {
        // Told apart from a broker that is away, which is an error here.
        await options.bounds();
        return;
      }
      if (item.done === true || item.value.seq > last) return;
      yield* rowsOfResult(item.value.data);
      if (item.value.seq === last || item.value.pending === 0) return;
    }
  } finally {
    ended.abort();
    await tailed.return(undefined);
  }
}

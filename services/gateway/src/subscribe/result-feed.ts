import type { Tailed } from "@millrace/messaging";
import { createResultEntry, type ResultEntry } from "./result-entry.js";

/*
 * One reader of a stream's results for all its subscribers on this gateway. It keeps the latest ones, as many
 * as fit; whoever is behind them reads from the broker until it has caught up.
 *
 *   broker ──one reader──► [ floor | entry … entry ] ◄── a cursor for each subscriber
 *                             └ all of the stream's results behind this number are here
 */
export interface FeedEntry extends ResultEntry {
  /** Results and messages that this feed read before it. */
  resultsBefore: number;
  messagesBefore: number;
}

export interface ResultFeed {
  /** No result of the stream behind this number has left the feed. */
  floor(): number;
  /** The first entry behind a number that is not below the floor. */
  after(seq: number): FeedEntry | undefined;
  last(): FeedEntry | undefined;
  /** Resolves when there is one behind this number or the signal is aborted; throws what ended the feed. */
  arrival(seq: number, signal: AbortSignal): Promise<void>;
  /** Lets go of it; the last one to do so ends it. */
  close(): void;
}

export interface ResultFeeds {
  open(of: { tenant: string; stream: string }): Promise<ResultFeed>;
  /** Streams that are read. */
  count(): number;
}

export interface ResultFeedsOptions {
  bounds(): Promise<{ last: number }>;
  tail(of: { tenant: string; stream: string }, from: number, signal: AbortSignal): AsyncGenerator<Tailed>;
  now(): number;
  /** Bytes of results that are kept for subscribers, over all streams. */
  bytesMax: number;
}

/** Of one stream: what a subscriber may be behind without a reader of its own. */
const feedBytesMax = 4 * 1024 * 1024;
const entriesMax = 4_096;
/** Entries whose decoded messages are kept: those that most subscribers are just being told. */
const decodedMax = 8;

interface Shared {
  users: number;
  ring: Promise<Ring>;
  end(): void;
}

export function createResultFeeds(options: ResultFeedsOptions): ResultFeeds {
  const shared = new Map<string, Shared>();
  const bytesMax = (): number => Math.min(feedBytesMax, options.bytesMax / Math.max(1, shared.size));

  function begin(key: string, of: { tenant: string; stream: string }): Shared {
    const ending = new AbortController();
    const read = async (ring: Ring, from: number): Promise<void> => {
      for await (const tailed of options.tail(of, from, ending.signal))
        ring.push(createResultEntry(tailed, options.now()));
    };
    const start = async (): Promise<Ring> => {
      const { last } = await options.bounds();
      const ring = createRing(last, bytesMax);
      read(ring, last + 1)
        .catch((caught: unknown) => ring.fail(caught))
        // Whoever opens it next begins anew.
        .finally(end);
      return ring;
    };
    const end = (): void => {
      ending.abort();
      if (shared.get(key) === made) shared.delete(key);
    };
    const made: Shared = { users: 0, ring: start(), end };
    made.ring.catch(end);
    shared.set(key, made);
    return made;
  }

  return {
    count: () => shared.size,
    open: async (of) => {
      const key = `${of.tenant}/${of.stream}`;
      const one = shared.get(key) ?? begin(key, of);
      // Counted before anything is waited for: else its last user could end it in between.
      one.users += 1;
      let isOpen = true;
      const close = (): void => {
        if (!isOpen) return;
        isOpen = false;
        one.users -= 1;
        if (one.users === 0) one.end();
      };
      try {
        return { ...(await one.ring), close };
      } catch (caught) {
        close();
        throw caught;
      }
    },
  };
}

interface Ring extends Omit<ResultFeed, "close"> {
  push(entry: ResultEntry): void;
  fail(cause: unknown): void;
}

function createRing(start: number, bytesMax: () => number): Ring {
  let entries: FeedEntry[] = [];
  let first = 0;
  let floor = start;
  let bytes = 0;
  let results = 0;
  let messages = 0;
  let failure: { cause: unknown } | undefined;
  const waiting = new Set<() => void>();
  const wake = (): void => {
    for (const resolve of waiting) resolve();
    waiting.clear();
  };
  const last = (): FeedEntry | undefined => entries.at(-1);

  /** The newest one stays, however large it is. */
  function trim(): void {
    while (entries.length - first > 1 && (bytes > bytesMax() || entries.length - first > entriesMax)) {
      const gone = entries[first] as FeedEntry;
      first += 1;
      bytes -= gone.bytes;
      floor = gone.seq;
    }
    if (first > entries.length / 2) {
      entries = entries.slice(first);
      first = 0;
    }
  }

  /** By halves: subscribers are anywhere in it. */
  function after(seq: number): FeedEntry | undefined {
    let [low, high] = [first, entries.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((entries[middle] as FeedEntry).seq > seq) high = middle;
      else low = middle + 1;
    }
    return entries[low];
  }

  return {
    floor: () => floor,
    after,
    last,
    arrival: (seq, signal) =>
      new Promise((resolve, reject) => {
        const settle = (): void => {
          signal.removeEventListener("abort", settle);
          waiting.delete(settle);
          if (failure === undefined) resolve();
          else reject(failure.cause);
        };
        if (signal.aborted || failure !== undefined || (last()?.seq ?? floor) > seq) return settle();
        waiting.add(settle);
        signal.addEventListener("abort", settle, { once: true });
      }),
    push: (entry) => {
      entries.push({ ...entry, resultsBefore: results, messagesBefore: messages });
      results += 1;
      messages += entry.count;
      bytes += entry.bytes;
      entries[entries.length - 1 - decodedMax]?.shrink();
      trim();
      wake();
    },
    fail: (cause) => {
      failure = { cause };
      wake();
    },
  };
}

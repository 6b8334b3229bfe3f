import type { Tailed } from "@millrace/messaging";
import { createResultEntry, type Joints, type ResultEntry } from "./result-entry.js";

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
  /**
   * Resolves when there is one behind this number or the signal is aborted; throws what ended the feed. One
   * wait of a signal at a time. `take` is asked first: true says that all there is was dealt with, and the
   * wait goes on.
   */
  arrival(seq: number, signal: AbortSignal, take?: () => boolean): Promise<void>;
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
  sleep(ms: number, signal: AbortSignal): Promise<void>;
  /** Bytes of results that are kept for subscribers, over all streams. */
  bytesMax: number;
}

/** Of one stream: what a subscriber may be behind without a reader of its own. */
const feedBytesMax = 4 * 1024 * 1024;
const entriesMax = 4_096;
/** Entries whose decoded messages are kept: those that most subscribers are just being told. */
const decodedMax = 8;

/**
 * After each telling the feed pauses, for so long per subscriber who was told: what comes meanwhile is told
 * together, so that many subscribers of a busy stream take no more than an eighth of the gateway's time.
 */
const pauseMsEach = 0.2;
const pauseMsMax = 25;

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
      const joints: Joints = new Map();
      for await (const tailed of options.tail(of, from, ending.signal))
        ring.push(createResultEntry(tailed, options.now(), joints));
    };
    const start = async (): Promise<Ring> => {
      const { last } = await options.bounds();
      const ring = createRing(last, { bytesMax, pause: (ms) => options.sleep(ms, ending.signal) });
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

interface Waiting {
  take: (() => boolean) | undefined;
  settle(): void;
}

/** What a subscriber throws, it throws again in its own turn, and ends nobody but itself. */
function isTaken(take: Waiting["take"]): boolean {
  try {
    return take?.() === true;
  } catch {
    return false;
  }
}

function createRing(
  start: number,
  { bytesMax, pause }: { bytesMax: () => number; pause(ms: number): Promise<void> },
): Ring {
  let entries: FeedEntry[] = [];
  let first = 0;
  let floor = start;
  let bytes = 0;
  let results = 0;
  let messages = 0;
  let failure: { cause: unknown } | undefined;
  // By the signal that ends the wait: one listener for a subscriber. One for each result that it waits for
  // took a tenth of the gateway at 1,000 subscribers.
  const waiting = new Map<AbortSignal, Waiting>();
  const listened = new WeakSet<AbortSignal>();
  let toldSeq = start;
  let isPausing = false;
  const wake = (): void => {
    for (const [signal, { take, settle }] of waiting) {
      if (failure === undefined && isTaken(take)) continue;
      waiting.delete(signal);
      settle();
    }
  };
  const tell = (): void => {
    if (isPausing) return;
    toldSeq = last()?.seq ?? toldSeq;
    const pauseMs = Math.min(pauseMsMax, waiting.size * pauseMsEach);
    wake();
    if (pauseMs < 1) return;
    isPausing = true;
    void pause(pauseMs).then(() => {
      isPausing = false;
      if ((last()?.seq ?? toldSeq) > toldSeq) tell();
    });
  };
  const listen = (signal: AbortSignal): void => {
    if (listened.has(signal)) return;
    listened.add(signal);
    const end = (): void => {
      waiting.get(signal)?.settle();
      waiting.delete(signal);
    };
    signal.addEventListener("abort", end, { once: true });
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
    arrival: (seq, signal, take) =>
      new Promise((resolve, reject) => {
        const settle = (): void => {
          if (failure === undefined) resolve();
          else reject(failure.cause);
        };
        if (signal.aborted || failure !== undefined || (last()?.seq ?? floor) > seq) return settle();
        waiting.set(signal, { take, settle });
        listen(signal);
      }),
    push: (entry) => {
      entries.push({ ...entry, resultsBefore: results, messagesBefore: messages });
      results += 1;
      messages += entry.count;
      bytes += entry.bytes;
      entries[entries.length - 1 - decodedMax]?.shrink();
      trim();
      tell();
    },
    fail: (cause) => {
      failure = { cause };
      wake();
    },
  };
}

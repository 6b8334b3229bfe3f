import { CodedError } from "@millrace/errors";
import type { Held, LiveBytes, SourceRange, StreamId } from "./live-bytes.js";

/*
 * A stream's quota, by who waits for it:
 *
 *   free ──a take finds no room──► full ──below 3/4 and nobody in line, or nobody asked for 10 s──► free
 *                                   │ ▲
 *                                   └─┘ takes stand in line for room, up to `roomWaitMs`; then they are
 *                                       refused, as are those for whom the line is too long, and
 *                                       their sender asks again
 */
export interface StreamQuota {
  /**
   * Resolves when the stream has room. One more than the quota is let in, so that a batch larger than what is
   * left is not refused for ever. Errors: `resource_exhausted`.
   */
  take(range: SourceRange, by: Taker): Promise<Held>;
  /** Counts what is accepted already. */
  restore(range: SourceRange): void;
  /** Lets those in for whom there is room now, and judges who still waits. */
  tick(): void;
  usage(of: StreamId): Usage;
  /** Streams that hold something or are full. */
  streams(): StreamId[];
  forget(of: StreamId): void;
}

export interface Taker {
  /** Who sends, such as `ingestion`. */
  sender: string;
  quotaBytes: number;
  /** Memory that waits with it. */
  heldBytes: number;
  /** Told of the time in line, for whoever counts what is worked on. */
  aside?: Aside | undefined;
}

/** Whoever waits says so. How many do, and with how many bytes, is bounded by whoever lets them wait. */
export type Aside = <T>(waiting: Promise<T>) => Promise<T>;

export interface Usage {
  liveBytes: number;
  quotaBytes: number;
  /** Who waits; none: the stream is not full. */
  waiting: readonly string[];
}

export interface StreamQuotaOptions {
  live: LiveBytes;
  /** The quota in force, where no take has told it yet. */
  quotaOf(of: StreamId): number;
  /** Milliseconds since any fixed moment. */
  now(): number;
  sleep(ms: number, signal: AbortSignal): Promise<void>;
  /** How long a take waits for room before it is refused. */
  roomWaitMs: number;
  /** Bodies in memory that wait for room, all streams together; beyond it takes are refused at once. */
  waitingBytesMax: number;
  /** The same of one stream, and how many may stand in its line. */
  lineBytesMax: number;
  lineMax: number;
}

const retryAfterMs = 500;
/** A sender that is refused asks again after 5 s at the latest. */
const forgetSenderMs = 10_000;

interface Waiter {
  by: Taker;
  range: SourceRange;
  held: Held | undefined;
  wake(): void;
}

interface Full {
  of: StreamId;
  line: Waiter[];
  /** When each sender last found no room. */
  senders: Map<string, number>;
}

export function createStreamQuota(options: StreamQuotaOptions): StreamQuota {
  const { live, now } = options;
  const fullStreams = new Map<string, Full>();
  let waitingBytes = 0;
  const keyOf = ({ tenant, stream }: StreamId): string => `${tenant}/${stream}`;

  const turnAway = (of: StreamId, sender: string): Full => {
    const key = keyOf(of);
    let full = fullStreams.get(key);
    if (full === undefined) {
      full = { of: { tenant: of.tenant, stream: of.stream }, line: [], senders: new Map() };
      fullStreams.set(key, full);
    }
    full.senders.set(sender, now());
    return full;
  };

  /** Stands in line until it is admitted, which reserves at once; undefined: time is over. */
  const stand = async (full: Full, range: SourceRange, by: Taker): Promise<Held | undefined> => {
    const over = new AbortController();
    const waiter: Waiter = { by, range, held: undefined, wake: () => over.abort() };
    full.line.push(waiter);
    waitingBytes += by.heldBytes;
    const standing = options.sleep(options.roomWaitMs, over.signal).catch(() => undefined);
    await (by.aside?.(standing) ?? standing);
    waitingBytes -= by.heldBytes;
    const at = full.line.indexOf(waiter);
    if (at >= 0) full.line.splice(at, 1);
    return waiter.held;
  };

  const isTooLong = (line: readonly Waiter[], { heldBytes }: Taker): boolean => {
    const lineBytes = line.reduce((total, waiter) => total + waiter.by.heldBytes, heldBytes);
    if (line.length >= options.lineMax || lineBytes > options.lineBytesMax) return true;
    return waitingBytes + heldBytes > options.waitingBytesMax;
  };

  const advance = ({ of, line }: Full): void => {
    for (let first = line[0]; first !== undefined; first = line[0]) {
      if (live.bytes(of) >= first.by.quotaBytes) return;
      line.shift();
      first.held = live.take(first.range);
      first.wake();
    }
  };

  return {
    take: async (range, by) => {
      const known = fullStreams.get(keyOf(range));
      const isInLine = known !== undefined && known.line.length > 0;
      if (!isInLine && live.bytes(range) < by.quotaBytes) return live.take(range);
      const full = turnAway(range, by.sender);
      if (isTooLong(full.line, by)) throw refusal(range);
      const held = await stand(full, range, by);
      if (held !== undefined) return held;
      full.senders.set(by.sender, now());
      throw refusal(range);
    },
    restore: (range) => {
      if (!live.isHeld(range, range)) live.take(range).keep();
    },
    tick: () => {
      for (const [key, full] of fullStreams) {
        advance(full);
        if (full.line.length > 0) continue;
        for (const [sender, at] of full.senders) {
          if (now() - at > forgetSenderMs) full.senders.delete(sender);
        }
        const hasRoom = live.bytes(full.of) < options.quotaOf(full.of) * 0.75;
        if (hasRoom || full.senders.size === 0) fullStreams.delete(key);
      }
    },
    usage: (of) => ({
      liveBytes: live.bytes(of),
      quotaBytes: options.quotaOf(of),
      waiting: [...(fullStreams.get(keyOf(of))?.senders.keys() ?? [])].sort(),
    }),
    streams: () => {
      const known = new Map(live.streams().map((of) => [keyOf(of), of]));
      for (const [key, { of }] of fullStreams) known.set(key, of);
      return [...known.values()];
    },
    forget: (of) => {
      live.declare(of, undefined);
      fullStreams.delete(keyOf(of));
    },
  };
}

function refusal({ stream }: StreamId): CodedError {
  const problem = `append: stream ${stream} is full, since its outputs have not settled what it holds`;
  return new CodedError("resource_exhausted", problem, {
    field: "stream.buffer_bytes",
    subject: `stream:${stream}`,
    remedy:
      "Send it again later; it goes on when the outputs catch up. " +
      "GetStreamStatus shows which one lags. A larger bufferSize holds more.",
    retryAfterMs,
  });
}

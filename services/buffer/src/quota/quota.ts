import type { OpenBatch } from "@millrace/envelope";
import { enrichedFlags, type LedgerKey } from "@millrace/messaging";
import type { Header } from "@millrace/proto/batch";
import type { Interval } from "@millrace/proto/ledger";
import type { BufferUsage, Stream } from "@millrace/proto/stream";
import type { Component, Logger } from "@millrace/runtime";
import { createBackpressure, type BackpressureOptions } from "./backpressure.js";
import { createLiveBytes, type Held, sinkBits, type SourceRange, type StreamId } from "./live-bytes.js";
import { loadRanges, saveRanges } from "./quota-file.js";
import { createStaleRanges, type StaleRangesOptions } from "./stale-ranges.js";
import { createStreamQuota, type Taker, type Usage } from "./stream-quota.js";

/** Bounds what each stream holds from accept to its last settle. */
export interface Quota extends Component {
  /** Before a batch is published. Errors: `resource_exhausted` where its stream is full. */
  take(open: OpenBatch, stream: Stream, by: Pick<Taker, "sender" | "aside">): Promise<Held>;
  /** Counts what an earlier life accepted. */
  restore(accepted: Accepted): Promise<void>;
  /** What the last life saved. */
  load(): Promise<void>;
  save(): Promise<void>;
  isTracked(of: LedgerKey): boolean;
  settled(stage: string, of: LedgerKey, intervals: readonly Interval[]): void;
  /** A stream was created, changed or deleted. */
  onStream(of: StreamId, stream: Stream | undefined): void;
  usage(of: StreamId): BufferUsage;
}

export interface Accepted extends LedgerKey {
  from: number;
  to: number;
  bytes: number;
}

export interface QuotaOptions
  extends Pick<StaleRangesOptions, "placesOf" | "inspect">,
    Omit<BackpressureOptions, "lags"> {
  dir: string;
  find(tenant: string, name: string): Promise<Stream | undefined>;
  /** What the bus can hold of one stream: a larger quota is cut to it. */
  quotaBytesMax: number;
  clock: { monotonic(): number; sleep(ms: number, signal?: AbortSignal): Promise<void> };
  log: Logger;
  /**
   * Resolves when the bus has all that the last life accepted: until then what it lacks is not known to be
   * over.
   */
  untilComparable(): Promise<void>;
  /** Told each second of each stream that holds something, and once when it has gone. */
  onUsage(of: StreamId, usage: Usage | undefined): void;
  /** How many streams each sender waits for. */
  onWaiting(counts: ReadonlyMap<string, number>): void;
}

export const quotaBytesDefault = 256 * 1024 * 1024;
/** Of whoever appends, this stays well below the deadline. */
const roomWaitMs = 1_000;
const waitingBytesMax = 64 * 1024 * 1024;
/** Two of the largest batches, so that eight full streams have room in it. */
const lineBytesMax = 8 * 1024 * 1024;
/** Less than a connection may have calls: those of ingestion are one each. */
const lineMax = 64;
const tickMs = 50;
const ticksPerTelling = 20;
const ticksPerStaleRound = 100;

export function createQuota(options: QuotaOptions): Quota {
  const { clock, log, dir } = options;
  const live = createLiveBytes();
  const streams = new Map<string, Stream>();
  const keyOf = ({ tenant, stream }: StreamId): string => `${tenant}/${stream}`;
  const bytesOf = (stream: Stream | undefined): number =>
    Math.min(stream?.bufferBytes || quotaBytesDefault, options.quotaBytesMax);
  const quota = createStreamQuota({
    live,
    quotaOf: (of) => bytesOf(streams.get(keyOf(of))),
    now: clock.monotonic,
    sleep: clock.sleep,
    roomWaitMs,
    waitingBytesMax,
    lineBytesMax,
    lineMax,
  });
  const backpressure = createBackpressure({ ...options, lags: live.lags });
  const clearStale = createStaleRanges({ ...options, live });
  const stopping = new AbortController();
  const shown = new Map<string, StreamId>();

  const tell = async (): Promise<void> => {
    const senders = new Map<string, number>();
    // Also what was shown or told last time, so that its end is.
    const known = [...shown.values(), ...backpressure.toldFull(), ...quota.streams()];
    for (const [key, of] of new Map(known.map((each) => [keyOf(each), each]))) {
      const usage = quota.usage(of);
      const isHeld = usage.liveBytes > 0 || usage.waiting.length > 0;
      if (isHeld) shown.set(key, of);
      else shown.delete(key);
      options.onUsage(of, streams.has(key) ? usage : undefined);
      for (const sender of usage.waiting) senders.set(sender, (senders.get(sender) ?? 0) + 1);
      await backpressure.watch(of, usage);
    }
    options.onWaiting(senders);
  };
  const attempt = (what: string, work: () => Promise<void>): Promise<void> =>
    work().catch((caught: unknown) => log.warn(`${what}, trying again`, { error: String(caught) }));
  let isComparable = false;
  let telling: Promise<void> | undefined;
  const inBackground = (ticks: number): void => {
    if (telling !== undefined) return;
    telling = (async () => {
      if (ticks % ticksPerTelling === 0) await attempt("backpressure not told", tell);
      if (isComparable && ticks % ticksPerStaleRound === 0)
        await attempt("live bytes not compared with the bus", clearStale);
    })().finally(() => {
      telling = undefined;
    });
  };
  const loop = async (): Promise<void> => {
    for (let ticks = 1; !stopping.signal.aborted; ticks++) {
      await clock.sleep(tickMs, stopping.signal);
      live.sweep();
      quota.tick();
      // A broker that is slow to answer must not keep anybody waiting for room.
      inBackground(ticks);
    }
  };
  let running: Promise<void> | undefined;

  return {
    name: "quota",
    start: async () => {
      void options.untilComparable().then(() => {
        isComparable = true;
      });
      running = loop();
    },
    stop: async () => {
      stopping.abort();
      await running;
      await telling;
    },
    take: async (open, stream, { sender, aside }) => {
      const { header } = open;
      const range = rangeOf(header, stream, weightOf(open));
      if (live.isHeld(range, range)) return alreadyHeld;
      const sizes = { quotaBytes: bytesOf(stream), heldBytes: open.body.length };
      return quota.take(range, { sender, aside, ...sizes });
    },
    restore: async ({ from, to, bytes, ...of }) => {
      const stream = await options.find(of.tenant, of.stream);
      if (stream === undefined) return;
      const sinks = sinkBits(enrichedFlags(stream.outputs));
      quota.restore({ ...of, createdMs: stream.createdMs, from, to, bytes, sinks });
    },
    load: async () => {
      for (const range of await loadRanges(dir)) {
        const stream = await options.find(range.tenant, range.stream);
        if (stream?.createdMs !== range.createdMs) continue;
        quota.restore({ ...range, sinks: range.sinks & sinkBits(enrichedFlags(stream.outputs)) });
      }
    },
    save: () => saveRanges(dir, live.ranges()),
    isTracked: live.isTracked,
    settled: live.settled,
    onStream: (of, stream) => {
      if (stream === undefined) {
        streams.delete(keyOf(of));
        quota.forget(of);
        backpressure.forget(of);
        return;
      }
      streams.set(keyOf(of), stream);
      const { createdMs, outputs } = stream;
      live.declare(of, { createdMs, sinks: sinkBits(enrichedFlags(outputs)) });
    },
    usage: (of) => {
      const { waiting, ...bytes } = quota.usage(of);
      return { ...bytes, waiting: [...waiting], lags: live.lags(of) };
    },
  };
}

/** Sent again: it was counted when it came first. */
const alreadyHeld: Held = { keep: () => undefined, giveBack: () => undefined };

function rangeOf(header: Header, stream: Stream, bytes: number): SourceRange {
  return {
    tenant: header.tenant,
    stream: header.stream,
    source: header.source,
    createdMs: stream.createdMs,
    from: header.positionFrom,
    to: header.positionTo,
    bytes,
    sinks: sinkBits(enrichedFlags(stream.outputs)),
  };
}

/** Body and columns as they travel, without encoding them. */
export function weightOf({ header, columns }: OpenBatch): number {
  const numbers =
    columns.lengths.length +
    columns.positionDeltas.length +
    columns.eventTimeDeltasMs.length +
    columns.kinds.length +
    columns.sourceIdIndexes.length;
  let names = 0;
  for (const name of columns.sourceIds) names += name.length;
  for (const { name, values, rows } of columns.attributes) {
    names += name.length + 4 * rows.length;
    for (const value of values) names += value.length;
  }
  return header.bodyBytes + 4 * numbers + columns.ids.length + names;
}

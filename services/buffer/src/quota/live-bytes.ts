import { createIntervalSet, type Interval, type IntervalSet } from "@millrace/envelope";
import type { LedgerKey } from "@millrace/messaging";
import { createLiveRanges, type LiveRange, type LiveRanges } from "./live-ranges.js";

/*
 * What each stream holds, from accept to the last settle, by the LEDGER alone:
 *
 *     take ──► held ──► live ──► every sink that the range was accepted for and that is still declared has
 *                 │              settled it, or a stage before them has given it up ──► gone
 *                 └─ refused ──► gone
 *
 * The set of sinks of a range only shrinks: one that is declared later may get it or not, one that is taken
 * away never settles it. What the LEDGER never tells, such as a batch dropped with a deleted output, is
 * cleared by `removeUpTo` when the bus holds nothing of it any more.
 */
export const sinkNames = ["results", "store", "search", "kafka"] as const;
export type SinkName = (typeof sinkNames)[number];

/** Stages before the sinks: they write what they gave up, and nothing else. */
export const stageNames = ["privacy", "inference"] as const;

export interface StreamId {
  tenant: string;
  stream: string;
}

export interface Held {
  /** It is stored, or may be: live from now on. */
  keep(): void;
  /** It was refused for sure. */
  giveBack(): void;
}

/** A range of a source as it is kept over a restart. */
export interface SourceRange extends LedgerKey, LiveRange {
  /** Of the stream: a later one of that name has nothing to do with it. */
  createdMs: number;
}

export interface LiveBytes {
  /** Bytes that are held or live. */
  bytes(of: StreamId): number;
  isHeld(of: LedgerKey, interval: Interval): boolean;
  take(range: SourceRange): Held;
  /** What a stage or sink has settled of a source, all in all. Counted at the next `sweep`. */
  settled(stage: string, of: LedgerKey, intervals: readonly Interval[]): void;
  /** Whether anybody asks what is settled of this source. */
  isTracked(of: LedgerKey): boolean;
  /** Removes what is settled everywhere. Returns whether anything was. */
  sweep(): boolean;
  /** The sinks that a stream has now; undefined where it is gone. */
  declare(of: StreamId, declared: { createdMs: number; sinks: number } | undefined): void;
  /** A mark that everything taken so far lies before. */
  mark(): number;
  hasUpTo(of: StreamId, mark: number): boolean;
  /** Sources with something taken up to the mark. */
  sourcesUpTo(of: StreamId, mark: number): string[];
  removeUpTo(of: StreamId, mark: number): void;
  /** Live bytes that each sink has not settled, the most first. */
  lags(of: StreamId): { sink: SinkName; bytes: number }[];
  streams(): StreamId[];
  /** Everything that is live. */
  ranges(): SourceRange[];
}

interface Source {
  ranges: LiveRanges;
  settled: Map<string, IntervalSet>;
  holds: number;
  isDirty: boolean;
}

interface Stream extends StreamId {
  createdMs: number;
  bytes: number;
  sources: Map<string, Source>;
}

const keyOf = ({ tenant, stream }: StreamId): string => `${tenant}/${stream}`;

export function createLiveBytes(): LiveBytes {
  const streams = new Map<string, Stream>();
  const dirty = new Set<Stream>();
  let order = 0;

  const sourceOf = (of: LedgerKey): Source | undefined => streams.get(keyOf(of))?.sources.get(of.source);

  const opened = ({ tenant, stream, source, createdMs }: SourceRange): [Stream, Source] => {
    const key = keyOf({ tenant, stream });
    let held = streams.get(key);
    if (held === undefined || held.createdMs !== createdMs) {
      held = { tenant, stream, createdMs, bytes: 0, sources: new Map() };
      streams.set(key, held);
    }
    let of = held.sources.get(source);
    if (of === undefined) {
      of = { ranges: createLiveRanges(), settled: new Map(), holds: 0, isDirty: false };
      held.sources.set(source, of);
    }
    return [held, of];
  };

  /** Nobody has to hear of a source that holds nothing. */
  const closeIfEmpty = (stream: Stream, name: string, source: Source): void => {
    if (source.holds > 0 || source.ranges.bytes() > 0) return;
    stream.sources.delete(name);
    if (stream.sources.size === 0 && streams.get(keyOf(stream)) === stream) streams.delete(keyOf(stream));
  };

  const sweepStream = (stream: Stream): number => {
    let freed = 0;
    for (const [name, source] of stream.sources) {
      if (!source.isDirty) continue;
      source.isDirty = false;
      freed += source.ranges.removeIf(settledBy(source.settled));
      closeIfEmpty(stream, name, source);
    }
    stream.bytes -= freed;
    return freed;
  };

  const touch = (stream: Stream, source: Source): void => {
    source.isDirty = true;
    dirty.add(stream);
  };

  return {
    bytes: (of) => streams.get(keyOf(of))?.bytes ?? 0,
    isHeld: (of, interval) => sourceOf(of)?.ranges.covers(interval) ?? false,
    take: (range) => {
      const [stream, source] = opened(range);
      const { bytes } = range;
      stream.bytes += bytes;
      source.holds += 1;
      let isOpen = true;
      const end = (live: number): void => {
        if (!isOpen) return;
        isOpen = false;
        source.holds -= 1;
        stream.bytes += live - bytes;
        closeIfEmpty(stream, range.source, source);
      };
      return {
        keep: () => {
          if (!isOpen) return;
          order += 1;
          // A sink may have been faster than the answer.
          touch(stream, source);
          end(source.ranges.add(range, order));
        },
        giveBack: () => end(0),
      };
    },
    settled: (stage, of, intervals) => {
      const stream = streams.get(keyOf(of));
      const source = stream?.sources.get(of.source);
      if (stream === undefined || source === undefined) return;
      source.settled.set(stage, createIntervalSet(intervals));
      touch(stream, source);
    },
    isTracked: (of) => sourceOf(of) !== undefined,
    sweep: () => {
      let freed = 0;
      for (const stream of dirty) freed += sweepStream(stream);
      dirty.clear();
      return freed > 0;
    },
    declare: (of, declared) => {
      const stream = streams.get(keyOf(of));
      if (stream === undefined) return;
      if (declared === undefined || declared.createdMs !== stream.createdMs) {
        streams.delete(keyOf(of));
        return;
      }
      for (const source of stream.sources.values()) {
        source.ranges.keepSinks(declared.sinks);
        touch(stream, source);
      }
    },
    mark: () => order,
    hasUpTo: (of, mark) =>
      [...(streams.get(keyOf(of))?.sources.values() ?? [])].some(({ ranges }) => ranges.hasUpTo(mark)),
    sourcesUpTo: (of, mark) =>
      [...(streams.get(keyOf(of))?.sources ?? [])].flatMap(([name, { ranges }]) =>
        ranges.hasUpTo(mark) ? [name] : [],
      ),
    removeUpTo: (of, mark) => {
      const stream = streams.get(keyOf(of));
      if (stream === undefined) return;
      for (const [name, source] of stream.sources) {
        stream.bytes -= source.ranges.removeUpTo(mark);
        closeIfEmpty(stream, name, source);
      }
    },
    lags: (of) => lagsOf(streams.get(keyOf(of))),
    streams: () => [...streams.values()].map(({ tenant, stream }) => ({ tenant, stream })),
    ranges: () =>
      [...streams.values()].flatMap(({ tenant, stream, createdMs, sources }) =>
        [...sources].flatMap(([source, { ranges }]) => {
          const of: SourceRange[] = [];
          ranges.each((range) => of.push({ tenant, stream, source, createdMs, ...range }));
          return of;
        }),
      ),
  };
}

/** Whether nobody waits for a range any more; to be asked of ranges in their order. */
function settledBy(
  settled: ReadonlyMap<string, IntervalSet>,
): (from: number, to: number, sinks: number) => boolean {
  const bySinks = new Map<number, { done: readonly Interval[]; at: number }>();
  return (from, to, sinks) => {
    let walk = bySinks.get(sinks);
    if (walk === undefined) {
      walk = { done: settledFor(settled, sinks), at: 0 };
      bySinks.set(sinks, walk);
    }
    const { done } = walk;
    while (walk.at < done.length && (done[walk.at] as Interval).to < to) walk.at += 1;
    const next = done[walk.at];
    return next !== undefined && next.from <= from && next.to >= to;
  };
}

/** What a stage above gave up, and what all of these sinks have; with none of them the LEDGER can't tell. */
function settledFor(settled: ReadonlyMap<string, IntervalSet>, sinks: number): Interval[] {
  const done = createIntervalSet();
  for (const name of stageNames) done.addAll(settled.get(name)?.intervals() ?? []);
  if (sinks === 0) return done.intervals();
  // What was given up above never reaches a sink: it counts as settled there.
  const bySink = sinkNames.flatMap((name, bit) => {
    if ((sinks & (1 << bit)) === 0) return [];
    const of = createIntervalSet(done.intervals());
    of.addAll(settled.get(name)?.intervals() ?? []);
    return [of];
  });
  const [first, ...others] = bySink;
  let all = first?.intervals() ?? [];
  for (const other of others) all = all.flatMap((interval) => other.overlap(interval));
  return all;
}

function lagsOf(stream: Stream | undefined): { sink: SinkName; bytes: number }[] {
  if (stream === undefined) return [];
  const lags = sinkNames.map((sink) => ({ sink, bytes: 0 }));
  for (const { ranges, settled } of stream.sources.values()) {
    ranges.each(({ from, to, bytes, sinks }) => {
      for (const [bit, lag] of lags.entries()) {
        if ((sinks & (1 << bit)) === 0) continue;
        const isSettled = settled.get(lag.sink)?.missing({ from, to }).length === 0;
        if (!isSettled) lag.bytes += bytes;
      }
    });
  }
  return lags.filter(({ bytes }) => bytes > 0).sort((one, other) => other.bytes - one.bytes);
}

/** The sinks of a stream's outputs as bits. */
export function sinkBits(flags: {
  results: boolean;
  store: boolean;
  search: boolean;
  kafka?: boolean;
}): number {
  return sinkNames.reduce((bits, name, bit) => (flags[name] === true ? bits | (1 << bit) : bits), 0);
}

import type { Interval } from "@millrace/envelope";

/** Positions of one source that were accepted and are not settled everywhere, with what they weigh. */
export interface LiveRange extends Interval {
  bytes: number;
  /** Bits of the sinks that have to settle it. */
  sinks: number;
}

/**
 * The live ranges of one source, sorted and disjoint, in columns: neighbours become one range up to
 * `mergedBytesMax`, so that what is held costs memory by bytes and not by batches.
 */
export interface LiveRanges {
  /** `order`: rises with each range that the stream takes. A part that is held already is left out. */
  add(range: LiveRange, order: number): number;
  covers(interval: Interval): boolean;
  /** Removes the ranges of which this is true; returns their bytes. */
  removeIf(isGone: (from: number, to: number, sinks: number) => boolean): number;
  /** Removes what was taken up to this order; returns its bytes. */
  removeUpTo(order: number): number;
  hasUpTo(order: number): boolean;
  /** Sinks not named here settle nothing any more. */
  keepSinks(sinks: number): void;
  bytes(): number;
  each(visit: (range: LiveRange) => void): void;
}

/** Fine enough for the smallest quota, coarse enough for 4,096 ranges in the default one. */
export const mergedBytesMax = 64 * 1024;

export function createLiveRanges(): LiveRanges {
  const from: number[] = [];
  const to: number[] = [];
  const bytes: number[] = [];
  const sinks: number[] = [];
  const orders: number[] = [];
  let total = 0;

  /** Index of the first range that ends after the position; sources grow at their end, so from there. */
  const firstEndingAfter = (position: number): number => {
    let low = 0;
    let high = to.length;
    if (high === 0 || (to[high - 1] as number) <= position) return high;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((to[middle] as number) > position) high = middle;
      else low = middle + 1;
    }
    return low;
  };

  const merges = (at: number, range: LiveRange): boolean =>
    at >= 0 &&
    to[at] === range.from &&
    sinks[at] === range.sinks &&
    (bytes[at] as number) + range.bytes <= mergedBytesMax;

  const insert = (range: LiveRange, order: number): void => {
    const at = firstEndingAfter(range.from);
    if (merges(at - 1, range)) {
      to[at - 1] = range.to;
      bytes[at - 1] = (bytes[at - 1] as number) + range.bytes;
      orders[at - 1] = order;
      return;
    }
    from.splice(at, 0, range.from);
    to.splice(at, 0, range.to);
    bytes.splice(at, 0, range.bytes);
    sinks.splice(at, 0, range.sinks);
    orders.splice(at, 0, order);
  };

  /** The pieces of an interval that no range holds. */
  const missing = (interval: Interval): Interval[] => {
    const pieces: Interval[] = [];
    let reached = interval.from;
    for (let at = firstEndingAfter(interval.from); at < from.length && reached < interval.to; at++) {
      const begin = from[at] as number;
      if (begin >= interval.to) break;
      if (begin > reached) pieces.push({ from: reached, to: begin });
      reached = to[at] as number;
    }
    if (reached < interval.to) pieces.push({ from: reached, to: interval.to });
    return pieces;
  };

  const keepIf = (isKept: (at: number) => boolean): number => {
    let kept = 0;
    let gone = 0;
    for (let at = 0; at < from.length; at++) {
      if (!isKept(at)) {
        gone += bytes[at] as number;
        continue;
      }
      if (kept !== at) {
        for (const column of [from, to, bytes, sinks, orders]) column[kept] = column[at] as number;
      }
      kept++;
    }
    for (const column of [from, to, bytes, sinks, orders]) column.length = kept;
    total -= gone;
    return gone;
  };

  return {
    add: (range, order) => {
      const positions = range.to - range.from;
      let added = 0;
      for (const piece of missing(range)) {
        // Rounded up: a range weighs at least a byte, so that a stream with ranges is never empty.
        const share = Math.max(1, Math.ceil((range.bytes * (piece.to - piece.from)) / positions));
        insert({ ...piece, bytes: share, sinks: range.sinks }, order);
        added += share;
      }
      total += added;
      return added;
    },
    covers: (interval) => missing(interval).length === 0,
    removeIf: (isGone) => keepIf((at) => !isGone(from[at] as number, to[at] as number, sinks[at] as number)),
    removeUpTo: (order) => keepIf((at) => (orders[at] as number) > order),
    hasUpTo: (order) => orders.some((each) => each <= order),
    keepSinks: (named) => {
      for (let at = 0; at < sinks.length; at++) sinks[at] = (sinks[at] as number) & named;
    },
    bytes: () => total,
    each: (visit) => {
      for (let at = 0; at < from.length; at++) {
        const [begin, end] = [from[at] as number, to[at] as number];
        visit({ from: begin, to: end, bytes: bytes[at] as number, sinks: sinks[at] as number });
      }
    },
  };
}

import { assert } from "@millrace/errors";

/** Half-open [from, to): `from` belongs to it, `to` does not. Shape of millrace.ledger.v1.Interval. */
export interface Interval {
  from: number;
  to: number;
}

/**
 * A set of integers kept as sorted, disjoint intervals that do not touch: [1, 3) and [3, 5) are held as [1,
 * 5). It costs memory by gaps, not by members; growing at its end, as a source does, takes constant time.
 */
export interface IntervalSet {
  add(interval: Interval): void;
  addAll(intervals: Iterable<Interval>): void;
  remove(interval: Interval): void;
  has(position: number): boolean;
  /** The pieces of an interval that are not in the set, in order. */
  missing(interval: Interval): Interval[];
  /** The pieces of an interval that are in the set, in order. */
  overlap(interval: Interval): Interval[];
  /** How many integers the set holds. */
  total(): number;
  /** A copy, sorted. */
  intervals(): Interval[];
}

export function createIntervalSet(initial: Iterable<Interval> = []): IntervalSet {
  const held: Interval[] = [];
  const set: IntervalSet = {
    add: (interval) => addTo(held, interval),
    addAll: (intervals) => {
      for (const interval of intervals) addTo(held, interval);
    },
    remove: (interval) => removeFrom(held, interval),
    has: (position) => {
      const next = held[firstEndingAfter(held, position)];
      return next !== undefined && next.from <= position;
    },
    missing: (interval) => missingFrom(held, interval),
    overlap: (interval) => overlapWith(held, interval),
    total: () => held.reduce((sum, { from, to }) => sum + (to - from), 0),
    intervals: () => held.map(({ from, to }) => ({ from, to })),
  };
  set.addAll(initial);
  return set;
}

/** Index of the first interval whose `to` lies after the position; `held.length` if there is none. */
function firstEndingAfter(held: readonly Interval[], position: number): number {
  const last = held.at(-1);
  if (last === undefined || last.to <= position) return held.length;
  let low = 0;
  let high = held.length - 1;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((held[middle] as Interval).to > position) high = middle;
    else low = middle + 1;
  }
  return low;
}

function addTo(held: Interval[], interval: Interval): void {
  const { from, to } = checked(interval);
  if (from === to) return;
  // One that ends exactly where this begins is joined too, hence −1.
  const first = firstEndingAfter(held, from - 1);
  let end = first;
  let merged = { from, to };
  for (let next = held[end]; next !== undefined && next.from <= to; next = held[end]) {
    merged = { from: Math.min(merged.from, next.from), to: Math.max(merged.to, next.to) };
    end += 1;
  }
  if (end === first + 1) held[first] = merged;
  else held.splice(first, end - first, merged);
}

function removeFrom(held: Interval[], interval: Interval): void {
  const { from, to } = checked(interval);
  if (from === to) return;
  const first = firstEndingAfter(held, from);
  const rest: Interval[] = [];
  let end = first;
  for (let next = held[end]; next !== undefined && next.from < to; next = held[end]) {
    if (next.from < from) rest.push({ from: next.from, to: from });
    if (next.to > to) rest.push({ from: to, to: next.to });
    end += 1;
  }
  if (end > first) held.splice(first, end - first, ...rest);
}

function missingFrom(held: readonly Interval[], interval: Interval): Interval[] {
  const { from, to } = checked(interval);
  const pieces: Interval[] = [];
  let reached = from;
  for (const piece of overlapWith(held, interval)) {
    if (piece.from > reached) pieces.push({ from: reached, to: piece.from });
    reached = piece.to;
  }
  if (reached < to) pieces.push({ from: reached, to });
  return pieces;
}

function overlapWith(held: readonly Interval[], interval: Interval): Interval[] {
  const { from, to } = checked(interval);
  const pieces: Interval[] = [];
  if (from === to) return pieces;
  for (let index = firstEndingAfter(held, from); index < held.length; index += 1) {
    const next = held[index] as Interval;
    if (next.from >= to) break;
    pieces.push({ from: Math.max(from, next.from), to: Math.min(to, next.to) });
  }
  return pieces;
}

function checked(interval: Interval): Interval {
  const { from, to } = interval;
  assert(Number.isSafeInteger(from) && Number.isSafeInteger(to), "an interval has integer ends");
  assert(from <= to, "an interval does not end before it begins");
  return interval;
}

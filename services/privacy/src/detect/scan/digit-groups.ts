import { DIGIT, isClass, SEPARATOR } from "./text-bytes.js";

/**
 * A spot of digits as the detectors of numbers see it, read once:
 *
 *     call (030) 123 45-67 now        groups 030 · 123 · 45 · 67
 *
 * Groups are joined by one to three separator bytes. The memory is reused from spot to spot and grows with
 * the longest spot met (8 bytes a group).
 */
export interface DigitGroups {
  count: number;
  starts: Uint32Array;
  ends: Uint32Array;
  /** Digits of all groups together. */
  digits: number;
}

/**
 * Longest row of separators that still joins two groups: `) /` and ` - `. The prefilter knows the same
 * bound.
 */
const separatorsMax = 3;

export function createDigitGroups(): DigitGroups {
  return { count: 0, starts: new Uint32Array(64), ends: new Uint32Array(64), digits: 0 };
}

/** Reads the groups around the digit at `at` and returns the bytes walked. */
export function readDigitGroups(
  groups: DigitGroups,
  bytes: Uint8Array,
  { from, to, at }: { from: number; to: number; at: number },
): number {
  let first = at;
  for (let start = digitsBefore(bytes, from, first); start >= 0; start = digitsBefore(bytes, from, first)) {
    first = start;
  }
  groups.count = 0;
  groups.digits = 0;
  let position = first;
  while (position >= 0) {
    let end = position;
    while (end < to && isClass(bytes[end], DIGIT)) end++;
    add(groups, position, end);
    position = nextDigit(bytes, end, to);
  }
  return (groups.ends[groups.count - 1] as number) - first + (at - first);
}

/** Start of the digits that end just before `at` or are joined to it; -1 when there are none. */
function digitsBefore(bytes: Uint8Array, from: number, at: number): number {
  let start = at;
  while (start > from && at - start < separatorsMax && isClass(bytes[start - 1], SEPARATOR)) start--;
  if (start === from || !isClass(bytes[start - 1], DIGIT)) return -1;
  while (start > from && isClass(bytes[start - 1], DIGIT)) start--;
  return start;
}

/** The first digit after the separators at `at`; -1 when the spot ends there. */
function nextDigit(bytes: Uint8Array, at: number, to: number): number {
  let next = at;
  while (next < to && next - at < separatorsMax && isClass(bytes[next], SEPARATOR)) next++;
  return next > at && next < to && isClass(bytes[next], DIGIT) ? next : -1;
}

function add(groups: DigitGroups, start: number, end: number): void {
  if (groups.count === groups.starts.length) {
    groups.starts = grown(groups.starts);
    groups.ends = grown(groups.ends);
  }
  groups.starts[groups.count] = start;
  groups.ends[groups.count] = end;
  groups.count++;
  groups.digits += end - start;
}

function grown(column: Uint32Array): Uint32Array {
  const larger = new Uint32Array(column.length * 2);
  larger.set(column);
  return larger;
}

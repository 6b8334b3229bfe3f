import { findingCodes } from "./finding-type.js";
import type { Candidate, Detector } from "./scan/detector.js";
import type { FindingSink } from "./scan/findings.js";
import { DIGIT, isClass, isWordAfter, isWordBefore } from "./scan/text-bytes.js";
import { isPossibleNumber } from "./tables/phone-plan.js";

/**
 * A telephone number in a form in which people write them:
 *
 *     +49 30 1234567   0049 30 1234567    with a calling code in use and a length of its plan
 *     (212) 555-0123   1-212-555-0123     North America: area and exchange begin with 2 to 9
 *     030 / 123 45 67  01 23 45 67 89     a trunk zero, 9 to 12 digits
 *     (11) 91234-5678                     an area in parentheses, 10 or 11 digits
 *
 * Digits without a separator and without a `+` are never one: those are timestamps and ids.
 */
export const phone: Detector = {
  type: "PHONE",
  version: 1,
  triggers: ["digits"],
  verify(candidate: Candidate, found: FindingSink): void {
    const { groups } = candidate;
    let first = 0;
    while (first < groups.count) {
      const last = lastGroup(candidate, first);
      if (last >= 0) found.push(findingCodes.PHONE, spanStart(candidate, first), groups.ends[last] as number);
      first = last >= 0 ? last + 1 : first + 1;
    }
  },
};

const plus = 0x2b;
const dash = 0x2d;
const dot = 0x2e;
const slash = 0x2f;
const space = 0x20;
const open = 0x28;
const close = 0x29;

/** E.164: at most 15 digits; fewer than 8 with a calling code are short codes. */
const internationalMin = 8;
const internationalMax = 15;
const trunkMin = 9;
const trunkMax = 12;

/** Digits of the number at hand; calls are synchronous, so one will do. */
const digits = new Uint8Array(internationalMax + 2);

/** The last group of the number that begins with group `first`, or -1. */
function lastGroup(candidate: Candidate, first: number): number {
  const { bytes, groups } = candidate;
  const start = groups.starts[first] as number;
  if (first === 0 && plusBefore(candidate, start) >= 0) return international(candidate, first, 0);
  if (groups.count < 2 || !isFree(candidate, first)) return -1;
  const length = (groups.ends[first] as number) - start;
  if (bytes[start] === 0x30 && bytes[start + 1] === 0x30) {
    // "00" apart from the calling code is taken with spaces only: with dashes it begins a MAC address.
    if (length === 2 && bytes[start + 2] !== space) return -1;
    return international(candidate, first, 2);
  }
  if (bytes[start] === 0x30) return length >= 2 && length <= 6 ? trunk(candidate, first) : -1;
  if (length === 1 && bytes[start] === 0x31 && first + 3 < groups.count) {
    return northAmerican(candidate, first + 1) ? first + 3 : -1;
  }
  if (length === 3 && northAmerican(candidate, first)) return first + 2;
  return areaInParentheses(candidate, first);
}

/** Where the written number begins: its plus or opening parenthesis belongs to it. */
function spanStart(candidate: Candidate, first: number): number {
  const start = candidate.groups.starts[first] as number;
  const plusAt = first === 0 ? plusBefore(candidate, start) : -1;
  if (plusAt >= 0) return plusAt;
  return isInParentheses(candidate, first) ? start - 1 : start;
}

/**
 * Offset of a `+` or `+(` just before; -1 when there is none, or a digit before it makes it a sum or a time
 * zone.
 */
function plusBefore({ bytes, from }: Candidate, start: number): number {
  let at = start - 1;
  if (at >= from && bytes[at] === open) at--;
  if (at < from || bytes[at] !== plus) return -1;
  return at > from && isClass(bytes[at - 1], DIGIT) ? -1 : at;
}

function isInParentheses({ bytes, from, groups }: Candidate, group: number): boolean {
  const start = groups.starts[group] as number;
  return start > from && bytes[start - 1] === open && bytes[groups.ends[group] as number] === close;
}

/** No word, decimal, path or longer row of numbers leads into the group. */
function isFree(candidate: Candidate, first: number): boolean {
  const { bytes, from, groups } = candidate;
  const start = (groups.starts[first] as number) - (isInParentheses(candidate, first) ? 1 : 0);
  if (start <= from) return true;
  if (isWordBefore(bytes, from, start)) return false;
  const before = bytes[start - 1];
  if (before === dash || before === dot || before === slash || before === 0x23 || before === 0x24)
    return false;
  if (first === 0 || before !== space) return true;
  // A row of numbers with the same space between them is a table; a number after "7 " in prose is not.
  return separatorAfter(candidate, first) !== space || separatorAfter(candidate, first - 1) !== space;
}

/** The one byte between this group and the next; 0 when there are more, or no next. */
function separatorAfter({ bytes, groups }: Candidate, group: number): number {
  if (group + 1 >= groups.count) return 0;
  const end = groups.ends[group] as number;
  return groups.starts[group + 1] === end + 1 ? (bytes[end] as number) : 0;
}

/** Takes as many groups as give a possible number; `skipped` digits (the 00) come before the calling code. */
function international(candidate: Candidate, first: number, skipped: 0 | 2): number {
  const { bytes, to, groups } = candidate;
  let best = -1;
  let count = -skipped;
  for (let group = first; group < groups.count; group++) {
    const start = groups.starts[group] as number;
    const end = groups.ends[group] as number;
    if (count + end - start > internationalMax) break;
    // "+44 (0)20": the trunk zero is shown and not dialled.
    const isTrunkZero =
      group > first && end - start === 1 && bytes[start] === 0x30 && isInParentheses(candidate, group);
    for (let i = start; i < end && !isTrunkZero; i++) {
      if (count >= 0) digits[count] = (bytes[i] as number) - 0x30;
      count++;
    }
    if (count < internationalMin || isWordAfter(bytes, end, to)) continue;
    candidate.steps += count;
    if (isPossibleNumber(digits, count)) best = group;
  }
  return skipped > 0 && best === first ? -1 : best;
}

/** Three, three and four digits from group `first` on. */
function northAmerican(candidate: Candidate, first: number): boolean {
  const { bytes, to, groups } = candidate;
  if (first + 2 >= groups.count) return false;
  if (
    !hasLength(candidate, first, 3) ||
    !hasLength(candidate, first + 1, 3) ||
    !hasLength(candidate, first + 2, 4)
  ) {
    return false;
  }
  if ((bytes[groups.starts[first] as number] as number) < 0x32) return false;
  if ((bytes[groups.starts[first + 1] as number] as number) < 0x32) return false;
  const before = separatorAfter(candidate, first);
  const after = separatorAfter(candidate, first + 1);
  if (after !== dash && after !== dot && after !== space) return false;
  const isWellJoined =
    isInParentheses(candidate, first) || before === after || (after === dash && before !== 0);
  if (!isWellJoined || isWordAfter(bytes, groups.ends[first + 2] as number, to)) return false;
  return separatorAfter(candidate, first + 2) !== after;
}

function hasLength({ groups }: Candidate, group: number, length: number): boolean {
  return (groups.ends[group] as number) - (groups.starts[group] as number) === length;
}

/** A trunk zero and an area, then groups with the same one byte between them. */
function trunk(candidate: Candidate, first: number): number {
  const { bytes, to, groups } = candidate;
  const firstSeparator = separatorAfter(candidate, first);
  let best = -1;
  let count = (groups.ends[first] as number) - (groups.starts[first] as number);
  let separator = 0;
  for (let group = first + 1; group < groups.count; group++) {
    const end = groups.ends[group] as number;
    if (group > first + 1) {
      const between = separatorAfter(candidate, group - 1);
      if (separator === 0) separator = between;
      if (between === 0 || between === open || between === close || between !== separator) break;
    }
    count += end - (groups.starts[group] as number);
    if (count > trunkMax) break;
    if (count >= trunkMin && !isWordAfter(bytes, end, to)) best = group;
  }
  if (best < 0) return -1;
  // Dots join dates and decimals too: only five pairs, as in France, are a number.
  if (firstSeparator === dot && best - first < 4) return -1;
  const isCut = best + 1 < groups.count && separator === dash && separatorAfter(candidate, best) === dash;
  return isCut ? -1 : best;
}

/**
 * An area of two or three digits in parentheses and two groups with a dash: ten or eleven digits together.
 */
function areaInParentheses(candidate: Candidate, first: number): number {
  const { bytes, to, groups } = candidate;
  if (first + 2 >= groups.count || !isInParentheses(candidate, first)) return -1;
  const area = (groups.ends[first] as number) - (groups.starts[first] as number);
  if (area < 2 || area > 3 || separatorAfter(candidate, first + 1) !== dash) return -1;
  const end = groups.ends[first + 2] as number;
  const rest = end - (groups.starts[first + 1] as number) - 1;
  if (area + rest < 10 || area + rest > 11 || isWordAfter(bytes, end, to)) return -1;
  return separatorAfter(candidate, first + 2) === dash ? -1 : first + 2;
}

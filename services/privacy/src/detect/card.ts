import { findingCodes } from "./finding-type.js";
import type { Candidate, Detector } from "./scan/detector.js";
import type { FindingSink } from "./scan/findings.js";
import { DIGIT, isClass, isWordAfter, isWordBefore } from "./scan/text-bytes.js";
import { cardLengthsByPrefix } from "./tables/card-issuers.js";

/**
 * A payment card number (ISO/IEC 7812): 13 to 19 digits, bare or in groups joined by one space or one dash
 * throughout, an issuer's prefix with one of that issuer's lengths, and the Luhn check digit.
 */
export const card: Detector = {
  type: "CARD",
  version: 1,
  triggers: ["digits"],
  verify(candidate: Candidate, found: FindingSink): void {
    const { groups } = candidate;
    let from = 0;
    while (from < groups.count) {
      const last = lastGroup(candidate, from);
      if (last < 0) {
        from++;
        continue;
      }
      found.push(findingCodes.CARD, groups.starts[from] as number, groups.ends[last] as number);
      from = last + 1;
    }
  },
};

const digitsMin = 13;
const digitsMax = 19;
/**
 * Issuers print groups of four to six; a last group may have three (19 digits) or more than six (Maestro).
 */
const firstGroupMin = 4;
const groupMin = 3;
const groupMax = 7;

/** The last group of the longest card number that begins with group `first`, or -1. */
function lastGroup(candidate: Candidate, first: number): number {
  const { bytes, from, to, groups } = candidate;
  const start = groups.starts[first] as number;
  const lengths = issuerLengths(bytes, start, groups.ends[first] as number);
  if (lengths === 0 || isPartOfNumber(bytes, from, start)) return -1;
  let best = -1;
  let digits = 0;
  for (let group = first; group < groups.count; group++) {
    const length = (groups.ends[group] as number) - (groups.starts[group] as number);
    if (group > first && !isJoined(candidate, first, group)) break;
    if (group > first && (length < groupMin || length > groupMax)) break;
    digits += length;
    if (digits > digitsMax) break;
    const end = groups.ends[group] as number;
    if (digits >= digitsMin && (lengths & (1 << digits)) !== 0 && !goesOn(bytes, end, to)) {
      candidate.steps += digits;
      if (passesLuhn(bytes, start, end)) best = group;
    }
    if (group === first && digits < digitsMin && (length < firstGroupMin || length > groupMax)) break;
  }
  return best;
}

/** Group `group` follows the one before it after one space or dash, the same as between the first two. */
function isJoined({ bytes, groups }: Candidate, first: number, group: number): boolean {
  const end = groups.ends[group - 1] as number;
  if ((groups.starts[group] as number) - end !== 1) return false;
  const separator = bytes[end];
  return (separator === 0x20 || separator === 0x2d) && separator === bytes[groups.ends[first] as number];
}

/** A word or a decimal point with a digit before it leads into these digits. */
function isPartOfNumber(bytes: Uint8Array, from: number, start: number): boolean {
  if (isWordBefore(bytes, from, start)) return true;
  return start - 2 >= from && bytes[start - 1] === 0x2e && isClass(bytes[start - 2], DIGIT);
}

function goesOn(bytes: Uint8Array, end: number, to: number): boolean {
  if (isWordAfter(bytes, end, to)) return true;
  return end + 1 < to && bytes[end] === 0x2e && isClass(bytes[end + 1], DIGIT);
}

/** Lengths in use for the four digits that begin the group: one look-up settles a timestamp. */
function issuerLengths(bytes: Uint8Array, start: number, end: number): number {
  if (end - start < firstGroupMin) return 0;
  let prefix = 0;
  for (let i = start; i < start + 4; i++) prefix = prefix * 10 + ((bytes[i] as number) - 0x30);
  return cardLengthsByPrefix[prefix] as number;
}

/** Luhn's sum (ISO/IEC 7812-1 annex B) over the digits in [start, end), separators left out. */
export function passesLuhn(bytes: Uint8Array, start: number, end: number): boolean {
  let sum = 0;
  let doubled = false;
  for (let i = end - 1; i >= start; i--) {
    const digit = (bytes[i] as number) - 0x30;
    if (digit < 0 || digit > 9) continue;
    const value = doubled ? digit * 2 : digit;
    sum += value > 9 ? value - 9 : value;
    doubled = !doubled;
  }
  return sum % 10 === 0;
}

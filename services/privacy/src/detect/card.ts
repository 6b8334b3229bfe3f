import { findingCodes } from "./finding-type.js";
import type { Candidate, Detector } from "./scan/detector.js";
import type { FindingSink } from "./scan/findings.js";
import { DIGIT, isClass, isWordAfter, isWordBefore } from "./scan/text-bytes.js";

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
/** Issuers print groups of four to six; a last group may have three (19 digits) or more than six (Maestro). */
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

const length13 = 1 << 13;
const length14 = 1 << 14;
const length15 = 1 << 15;
const length16 = 1 << 16;
const lengths16to19 = length16 | (1 << 17) | (1 << 18) | (1 << 19);
const lengths13to19 = length13 | length14 | length15 | lengths16to19;

/** First and last prefix of four digits, and the lengths in use as bits: the issuers' published ranges. */
const issuers: ReadonlyArray<readonly [first: number, last: number, lengths: number]> = [
  [2200, 2204, lengths16to19], // Mir
  [2221, 2720, length16], // Mastercard
  [3000, 3059, length14 | lengths16to19], // Diners Club
  [3095, 3095, length14 | lengths16to19], // Diners Club
  [3400, 3499, length15], // American Express
  [3528, 3589, lengths16to19], // JCB
  [3600, 3699, length14 | lengths16to19], // Diners Club
  [3700, 3799, length15], // American Express
  [3800, 3999, length14 | lengths16to19], // Diners Club
  [4000, 4999, length13 | length16 | (1 << 18) | (1 << 19)], // Visa
  [5000, 5099, lengths13to19], // Maestro, Elo, Verve
  [5100, 5599, length16], // Mastercard
  [5600, 5899, lengths13to19], // Maestro
  [6000, 6999, lengths13to19], // Discover, UnionPay, RuPay, Maestro, Hipercard
  [8100, 8299, length16], // RuPay, UnionPay
  [9792, 9792, length16], // Troy
];

/** Lengths by prefix of four digits: one look-up settles a timestamp. */
const lengthsByPrefix = new Uint32Array(10_000);
for (const [first, last, lengths] of issuers) lengthsByPrefix.fill(lengths, first, last + 1);

function issuerLengths(bytes: Uint8Array, start: number, end: number): number {
  if (end - start < firstGroupMin) return 0;
  let prefix = 0;
  for (let i = start; i < start + 4; i++) prefix = prefix * 10 + ((bytes[i] as number) - 0x30);
  return lengthsByPrefix[prefix] as number;
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

import { findingCodes } from "./finding-type.js";
import type { Candidate, Detector } from "./scan/detector.js";
import type { FindingSink } from "./scan/findings.js";
import { DIGIT, HEX, isClass, isWordAfter, isWordBefore, LETTER } from "./scan/text-bytes.js";

/**
 * IPv4 as four decimal octets without leading zeros, not a piece of a longer dotted number; IPv6 in the
 * forms of RFC 4291 §2.2: full, compressed, with an IPv4 tail. A port, a prefix length and a zone are not
 * part of the span.
 */
export const ipAddress: Detector = {
  type: "IP",
  version: 1,
  triggers: ["digits", "colons"],
  verify(candidate: Candidate, found: FindingSink): void {
    if (candidate.trigger === "colons") verifyV6(candidate, found);
    else verifyV4(candidate, found);
  },
};

function verifyV4(candidate: Candidate, found: FindingSink): void {
  const { groups } = candidate;
  let first = 0;
  while (first + 3 < groups.count) {
    let last = first;
    while (last + 1 < groups.count && isDotted(candidate, last)) last++;
    if (last - first === 3 && isQuad(candidate, first)) {
      found.push(findingCodes.IP, groups.starts[first] as number, groups.ends[last] as number);
    }
    first = last + 1;
  }
}

/** One dot, and nothing else, between this group and the next. */
function isDotted({ bytes, groups }: Candidate, group: number): boolean {
  const end = groups.ends[group] as number;
  return bytes[end] === 0x2e && groups.starts[group + 1] === end + 1;
}

function isQuad({ bytes, from, to, groups }: Candidate, first: number): boolean {
  for (let group = first; group < first + 4; group++) {
    if (!isOctet(bytes, groups.starts[group] as number, groups.ends[group] as number)) return false;
  }
  const start = groups.starts[first] as number;
  const end = groups.ends[first + 3] as number;
  if (isWordBefore(bytes, from, start) || isWordAfter(bytes, end, to)) return false;
  return !isBrowserVersion(bytes, from, start) || bytes[end - 1] !== 0x30 || bytes[end - 3] !== 0x30;
}

/** `Chrome/120.0.0.0`: after a product's name, with zeros at the end, it is a version (RFC 9110 §10.1.5). */
function isBrowserVersion(bytes: Uint8Array, from: number, start: number): boolean {
  return start - 2 >= from && bytes[start - 1] === 0x2f && isClass(bytes[start - 2], LETTER);
}

function isOctet(bytes: Uint8Array, start: number, end: number): boolean {
  if (end - start > 3 || (end - start > 1 && bytes[start] === 0x30)) return false;
  let value = 0;
  for (let i = start; i < end; i++) value = value * 10 + ((bytes[i] as number) - 0x30);
  return value <= 255;
}

/** The longest text form: eight groups, the last two as IPv4. */
const v6BytesMax = 45;
const groupsMax = 8;
/**
 * `1::2` is a slice in a program and `Face::Bad` a name, `fe80::1` an address: a compressed one needs this
 * many hexadecimal digits, a decimal one among them.
 */
const compressedDigitsMin = 4;

/** Walks the whole run of hexadecimal digits, colons and dots once and says so in `settled`. */
function verifyV6(candidate: Candidate, found: FindingSink): void {
  const { bytes, from, to, at } = candidate;
  let start = at;
  while (start > from && isV6Byte(bytes[start - 1] as number)) start--;
  let end = at;
  while (end < to && isV6Byte(bytes[end] as number)) end++;
  candidate.steps += end - start;
  candidate.settled = end;
  if (end - start > v6BytesMax + 2) return;
  // "addr:fe80::1" and "fe80::1." or "fe80::1: down": single punctuation around the address is not part of
  // it.
  if (bytes[start] === 0x3a && bytes[start + 1] !== 0x3a) start++;
  while (end > start && (bytes[end - 1] === 0x2e || (bytes[end - 1] === 0x3a && bytes[end - 2] !== 0x3a)))
    end--;
  if (isWordBefore(bytes, from, start) || isWordAfter(bytes, end, to)) return;
  if (isV6(bytes, start, end)) found.push(findingCodes.IP, start, end);
}

function isV6Byte(byte: number): boolean {
  return byte === 0x3a || byte === 0x2e || isClass(byte, HEX);
}

function isV6(bytes: Uint8Array, start: number, end: number): boolean {
  let groups = 0;
  let digits = 0;
  let hasDecimal = false;
  let isCompressed = false;
  let position = start;
  while (position < end) {
    if (bytes[position] === 0x3a) {
      // A colon stands here only as the second of "::", or as the first two bytes.
      if (isCompressed) return false;
      isCompressed = true;
      position += position === start ? 2 : 1;
      if (position === start + 2 && bytes[start + 1] !== 0x3a) return false;
      continue;
    }
    let groupEnd = position;
    for (; groupEnd < end && isClass(bytes[groupEnd], HEX); groupEnd++) {
      if (isClass(bytes[groupEnd], DIGIT)) hasDecimal = true;
    }
    if (groupEnd < end && bytes[groupEnd] === 0x2e) {
      if (!isV4Text(bytes, position, end)) return false;
      groups += 2;
      return isCompressed ? groups < groupsMax : groups === groupsMax;
    }
    if (groupEnd === position || groupEnd - position > 4) return false;
    groups++;
    digits += groupEnd - position;
    position = groupEnd;
    if (position < end) position++;
    if (position === end && bytes[end - 1] === 0x3a) return false;
  }
  if (!isCompressed) return groups === groupsMax;
  const isLoopback = end - start === 3 && bytes[end - 1] === 0x31;
  return groups < groupsMax && ((hasDecimal && digits >= compressedDigitsMin) || isLoopback);
}

/** Four octets and nothing else in [start, end). */
function isV4Text(bytes: Uint8Array, start: number, end: number): boolean {
  let octets = 0;
  let position = start;
  while (position < end) {
    let octetEnd = position;
    while (octetEnd < end && isClass(bytes[octetEnd], DIGIT)) octetEnd++;
    if (octetEnd === position || !isOctet(bytes, position, octetEnd)) return false;
    octets++;
    if (octetEnd < end && (bytes[octetEnd] !== 0x2e || octetEnd + 1 === end)) return false;
    position = octetEnd + 1;
  }
  return octets === 4;
}

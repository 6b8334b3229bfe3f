import { findingCodes } from "./finding-type.js";
import type { Candidate, Detector } from "./scan/detector.js";
import type { FindingSink } from "./scan/findings.js";
import {
  characterStart,
  DIGIT,
  isClass,
  isLetterAt,
  isWordAfter,
  LETTER,
  LOCAL_PART,
  unicodeEscapeAt,
} from "./scan/text-bytes.js";
import { readCredentials } from "./url-credentials.js";

/**
 * An e-mail address, pragmatically after RFC 5321 and 6531: a local part of letters, digits and `._%+-'~`,
 * two or more labels, the last of two or more letters (or `xn--`, or letters beyond ASCII). Lengths are not
 * held against an address: one that is too long is still personal.
 */
export const email: Detector = {
  type: "EMAIL",
  version: 1,
  triggers: ["at_sign"],
  verify(candidate: Candidate, found: FindingSink): void {
    if (readCredentials(candidate)) return;
    const start = localStart(candidate);
    if (start === candidate.at) return;
    const end = domainEnd(candidate);
    if (end < 0 || isScaledImage(candidate, end)) return;
    found.push(findingCodes.EMAIL, start, end);
  },
};

/**
 * Walks back over the local part. It ends at any other byte and so at another `@`: linear over the whole
 * text.
 */
function localStart(candidate: Candidate): number {
  const { bytes, from, at } = candidate;
  let start = at;
  while (start > from) {
    const byte = bytes[start - 1] as number;
    if (byte >= 0x80) {
      const lead = characterStart(bytes, from, start - 1);
      if (!isLetterAt(bytes, lead, start)) break;
      start = lead;
    } else if (isClass(byte, LOCAL_PART)) {
      // A row of dots is prose ("write to...anna@"), not a part of the address.
      if (byte === 0x2e && (start === at || bytes[start] === 0x2e)) break;
      start--;
    } else if (byte === 0x5c && unicodeEscapeAt(bytes, start, at) >= 0x80) {
      start--;
    } else {
      break;
    }
  }
  candidate.steps += at - start;
  while (start < at && isLeadingPunctuation(bytes[start] as number)) start++;
  return start;
}

function isLeadingPunctuation(byte: number): boolean {
  return byte === 0x2e || byte === 0x27 || byte === 0x2d || byte === 0x7e || byte === 0x25;
}

/** The end of the last label that can be a top-level domain, or -1. */
function domainEnd(candidate: Candidate): number {
  const { bytes, to, at } = candidate;
  let best = -1;
  let labelStart = at + 1;
  let labels = 0;
  while (labelStart < to) {
    const labelEnd = endOfLabel(bytes, labelStart, to);
    if (labelEnd === labelStart) break;
    labels++;
    const end = labels > 1 ? topLevelEnd(bytes, labelStart, labelEnd) : -1;
    if (end >= 0 && !(isClass(bytes[end], DIGIT) && end < to)) best = end;
    if (labelEnd >= to || bytes[labelEnd] !== 0x2e) {
      labelStart = labelEnd;
      break;
    }
    labelStart = labelEnd + 1;
  }
  candidate.steps += labelStart - at;
  return best;
}

function endOfLabel(bytes: Uint8Array, from: number, to: number): number {
  let end = from;
  while (end < to) {
    const byte = bytes[end] as number;
    if (byte >= 0x80) {
      if (!isLetterAt(bytes, end, to)) break;
      end++;
      while (end < to && ((bytes[end] as number) & 0xc0) === 0x80) end++;
    } else if (isClass(byte, DIGIT | LETTER) || byte === 0x2d) {
      end++;
    } else if (byte === 0x5c && unicodeEscapeAt(bytes, end + 1, to) >= 0x80) {
      end += 6;
    } else {
      break;
    }
  }
  return end;
}

/**
 * Two or more ASCII letters at the label's start, or a label of `xn--`, or one that begins beyond ASCII;
 * else -1.
 */
function topLevelEnd(bytes: Uint8Array, start: number, labelEnd: number): number {
  const first = bytes[start] as number;
  if (first >= 0x80 || first === 0x5c) return labelEnd;
  if (
    (first | 0x20) === 0x78 &&
    ((bytes[start + 1] as number) | 0x20) === 0x6e &&
    bytes[start + 2] === 0x2d
  ) {
    return labelEnd - start > 4 ? labelEnd : -1;
  }
  let end = start;
  while (end < labelEnd && isClass(bytes[end], LETTER)) end++;
  return end - start >= 2 ? end : -1;
}

/** `icon@2x.png`: a digit and an x, one more label. */
function isScaledImage({ bytes, at, to }: Candidate, end: number): boolean {
  if (!isClass(bytes[at + 1], DIGIT) || bytes[at + 2] !== 0x78 || bytes[at + 3] !== 0x2e) return false;
  for (let i = at + 4; i < end; i++) if (!isClass(bytes[i], LETTER)) return false;
  return !isWordAfter(bytes, end, to);
}

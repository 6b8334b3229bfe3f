import { findingCodes } from "./finding-type.js";
import type { Candidate, Detector } from "./scan/detector.js";
import type { FindingSink } from "./scan/findings.js";

/**
 * `scheme://user:password@host`: the span is `user:password` (RFC 3986 §3.2.1). A password may hold a raw
 * `@`, as people write it: the last `@` of the authority ends it. A user without a password is not a
 * credential.
 */
export const urlCredentials: Detector = {
  type: "URL_CREDENTIALS",
  version: 1,
  triggers: ["at_sign"],
  verify(candidate: Candidate, found: FindingSink): void {
    const { credentials, at } = candidate;
    if (readCredentials(candidate) && credentials.firstAt === at) {
      found.push(findingCodes.URL_CREDENTIALS, credentials.start, credentials.end);
    }
  },
};

/**
 * Whether the candidate's `@` ends credentials or, being raw, lies in them: it is then no e-mail address.
 * They are kept in the candidate, so that a later `@` of theirs is settled without a look at the text.
 */
export function readCredentials(candidate: Candidate): boolean {
  const { bytes, at, credentials } = candidate;
  if (at <= credentials.end) return at >= credentials.firstAt;
  const start = userinfoStart(candidate);
  if (start < 0) return false;
  const end = lastAtSign(candidate);
  const isPair = bytes.subarray(start, end).includes(0x3a);
  candidate.steps += end - start;
  if (!isPair) return false;
  credentials.start = start;
  credentials.firstAt = at;
  credentials.end = end;
  return true;
}

/**
 * The first byte after `://` when only userinfo lies between it and the `@`, else -1. The walk back ends at
 * another `@`, so that each byte is looked at once however many there are.
 */
function userinfoStart(candidate: Candidate): number {
  const { bytes, from, at } = candidate;
  let start = at;
  while (start > from && isUserinfo(bytes[start - 1] as number)) start--;
  candidate.steps += at - start;
  if (start - 3 < from || start === at) return -1;
  return bytes[start - 1] === 0x2f && bytes[start - 2] === 0x2f && bytes[start - 3] === 0x3a ? start : -1;
}

/** The last `@` of the authority that the candidate's lies in. */
function lastAtSign(candidate: Candidate): number {
  const { bytes, to, at } = candidate;
  let last = at;
  let end = at + 1;
  for (; end < to; end++) {
    const byte = bytes[end] as number;
    if (byte === 0x40) last = end;
    else if (!isUserinfo(byte)) break;
  }
  candidate.steps += end - at;
  return last;
}

/** Anything but blanks, controls and the delimiters `" < > / \ @ ? #` and backtick. */
function isUserinfo(byte: number): boolean {
  if (byte <= 0x20 || byte === 0x7f) return false;
  switch (byte) {
    case 0x22:
    case 0x23:
    case 0x2f:
    case 0x3c:
    case 0x3e:
    case 0x3f:
    case 0x40:
    case 0x5c:
    case 0x60:
      return false;
    default:
      return true;
  }
}

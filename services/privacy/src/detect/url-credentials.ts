import { findingCodes } from "./finding-type.js";
import type { Candidate, Detector } from "./scan/detector.js";
import type { FindingSink } from "./scan/findings.js";

/**
 * `scheme://user:password@host`: the span is `user:password` (RFC 3986 §3.2.1). A password may hold a raw `@`, as
 * people write it: the last `@` of the authority ends it. A user without a password is not a credential.
 */
export const urlCredentials: Detector = {
  type: "URL_CREDENTIALS",
  version: 1,
  triggers: ["at_sign"],
  verify(candidate: Candidate, found: FindingSink): void {
    const start = userinfoStart(candidate);
    if (start < 0) return;
    const end = lastAtSign(candidate);
    const colon = candidate.bytes.subarray(start, end).indexOf(0x3a);
    if (colon >= 0 && end - start > 1) found.push(findingCodes.URL_CREDENTIALS, start, end);
  },
};

/** Whether the `@` of the candidate ends a `user:password` that follows `://`: it is then no e-mail address. */
export function endsCredentials(candidate: Candidate): boolean {
  const start = userinfoStart(candidate);
  if (start < 0) return false;
  for (let i = start; i < candidate.at; i++) if (candidate.bytes[i] === 0x3a) return true;
  return false;
}

/**
 * The first byte after `://` when only userinfo lies between it and the `@`, else -1. The walk back ends at another
 * `@`, so that each byte is looked at once however many there are.
 */
function userinfoStart(candidate: Candidate): number {
  const { bytes, from, at } = candidate;
  let start = at;
  while (start > from && isUserinfo(bytes[start - 1] as number)) start--;
  candidate.steps += at - start;
  if (start - 3 < from || start === at) return -1;
  return bytes[start - 1] === 0x2f && bytes[start - 2] === 0x2f && bytes[start - 3] === 0x3a ? start : -1;
}

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

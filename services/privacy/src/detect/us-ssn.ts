import { findingCodes } from "./finding-type.js";
import type { Candidate, Detector } from "./scan/detector.js";
import type { FindingSink } from "./scan/findings.js";
import { isWordAfter, isWordBefore } from "./scan/text-bytes.js";

/**
 * A US social security number: ddd-dd-dddd, with dashes or with spaces. The area is not 000, 666 or 9xx, the
 * group not 00, the serial not 0000 (SSA, randomised since 2011: nothing more can be checked). Nine bare
 * digits are not taken for one.
 */
export const usSsn: Detector = {
  type: "SSN",
  version: 1,
  triggers: ["digits"],
  verify(candidate: Candidate, found: FindingSink): void {
    const { groups } = candidate;
    for (let first = 0; first + 2 < groups.count; first++) {
      if (isSsn(candidate, first)) {
        found.push(findingCodes.SSN, groups.starts[first] as number, groups.ends[first + 2] as number);
      }
    }
  },
};

function isSsn(candidate: Candidate, first: number): boolean {
  const { bytes, from, to, groups } = candidate;
  const start = groups.starts[first] as number;
  const end = groups.ends[first + 2] as number;
  if (end - start !== 11 || groups.ends[first] !== start + 3 || groups.starts[first + 1] !== start + 4)
    return false;
  if (groups.ends[first + 1] !== start + 6 || groups.starts[first + 2] !== start + 7) return false;
  const separator = bytes[start + 3];
  if ((separator !== 0x2d && separator !== 0x20) || bytes[start + 6] !== separator) return false;
  const goesOnBefore = first > 0 && bytes[start - 1] === separator && groups.ends[first - 1] === start - 1;
  const goesOnAfter =
    first + 3 < groups.count && bytes[end] === separator && groups.starts[first + 3] === end + 1;
  // "call 3 123-45-6789" is one: only the same separator makes a longer row of groups.
  if (goesOnBefore || goesOnAfter) return false;
  if (isWordBefore(bytes, from, start) || isWordAfter(bytes, end, to)) return false;
  if (start > from && (bytes[start - 1] === 0x2d || bytes[start - 1] === 0x2b)) return false;
  const area = digitsAt(bytes, start, 3);
  if (area === 0 || area === 666 || area >= 900) return false;
  return digitsAt(bytes, start + 4, 2) !== 0 && digitsAt(bytes, start + 7, 4) !== 0;
}

function digitsAt(bytes: Uint8Array, at: number, count: number): number {
  let value = 0;
  for (let i = at; i < at + count; i++) value = value * 10 + ((bytes[i] as number) - 0x30);
  return value;
}

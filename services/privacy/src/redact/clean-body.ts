import type { CleanedBody } from "@millrace/proto/work";
import { findingTypeOf } from "../detect/finding-type.js";
import type { Scanner } from "../detect/scan/scanner.js";
import { redactBody } from "./redact-body.js";

/** One content with a token in the place of each finding, and where both were. */
export function cleanBody(given: Uint8Array, scanner: Scanner): CleanedBody {
  const boundaries = { lengths: [given.length], gapBytes: 0 } as const;
  const found = scanner.scan(given, boundaries);
  const { body, types, starts, tokenLengths } = redactBody(given, found, boundaries);
  const places = Array.from(types, (code, at) => ({
    type: findingTypeOf(code) ?? `TYPE_${code}`,
    start: starts[at] ?? 0,
    length: tokenLengths[at] ?? 0,
    givenStart: found.starts[at] ?? 0,
    givenLength: (found.ends[at] ?? 0) - (found.starts[at] ?? 0),
  }));
  return { body, places };
}

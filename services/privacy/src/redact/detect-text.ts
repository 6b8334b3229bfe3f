import { type FindingType, findingTypeOf } from "../detect/finding-type.js";
import { createScanner, type Scanner } from "../detect/scan/scanner.js";
import { allDetectors } from "../policy/all-detectors.js";
import { redactBody } from "./redact-body.js";

/** A place in a text, as offsets of a JavaScript string (UTF-16 units), for `text.slice(start, end)`. */
export interface TextFinding {
  type: FindingType;
  start: number;
  end: number;
}

let scannerOfAll: Scanner | undefined;

/**
 * The scanner of those who give none: every detector on, so that forgetting it never lets anything through.
 */
function everything(): Scanner {
  scannerOfAll ??= createScanner({ detectors: allDetectors });
  return scannerOfAll;
}

/**
 * Finds personal data in one text: a name, an attribute, a request. Bodies of batches go to the scanner
 * itself.
 */
export function detectText(text: string, scanner: Scanner = everything()): TextFinding[] {
  const body = new TextEncoder().encode(text);
  const { count, types, starts, ends } = scanner.scan(body, { lengths: [body.length], gapBytes: 0 });
  const found: TextFinding[] = [];
  let offset = 0;
  let units = 0;
  /** UTF-16 units before a byte offset; asked in order. */
  const unitsBefore = (target: number): number => {
    for (; offset < target; offset++) units += unitsOf(body[offset] as number);
    return units;
  };
  for (let i = 0; i < count; i++) {
    const type = findingTypeOf(types[i] as number);
    const start = unitsBefore(starts[i] as number);
    const end = unitsBefore(ends[i] as number);
    if (type !== undefined) found.push({ type, start, end });
  }
  return found;
}

/** The text with a token in the place of each finding. */
export function redactText(text: string, scanner: Scanner = everything()): string {
  const body = new TextEncoder().encode(text);
  const boundaries = { lengths: [body.length], gapBytes: 0 } as const;
  const findings = scanner.scan(body, boundaries);
  return findings.count === 0 ? text : new TextDecoder().decode(redactBody(body, findings, boundaries).body);
}

/** A character is counted at its first byte: one unit, or two beyond the basic plane. */
function unitsOf(byte: number): number {
  if ((byte & 0xc0) === 0x80) return 0;
  return byte >= 0xf0 ? 2 : 1;
}

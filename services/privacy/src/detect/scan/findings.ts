import { findingPriority } from "../finding-type.js";
import { isEscaped, isEscapeLetter, unicodeEscapeAt } from "./text-bytes.js";

/**
 * What a scan found, as parallel columns of `count` entries, in order and without overlap. The columns
 * belong to the scanner and are longer than `count`: they hold until its next scan.
 */
export interface Findings {
  count: number;
  /** Codes of finding-type.ts. */
  types: Uint8Array;
  /** Message index. */
  rows: Uint32Array;
  /** Byte offsets in the scanned body: first byte, and the byte after the last. */
  starts: Uint32Array;
  ends: Uint32Array;
}

export interface FindingSink {
  push(code: number, start: number, end: number): void;
}

/** Columns that grow, and the settling of overlaps per message. */
export interface FindingColumns extends FindingSink {
  readonly findings: Findings;
  reset(): void;
  /**
   * Settles what was pushed since the last call: it all belongs to message `row`, whose bytes begin at
   * `from`.
   */
  closeRow(row: number, bytes: Uint8Array, from: number): void;
}

const entriesAtStart = 256;

export function createFindingColumns(): FindingColumns {
  const findings: Findings = {
    count: 0,
    types: new Uint8Array(entriesAtStart),
    rows: new Uint32Array(entriesAtStart),
    starts: new Uint32Array(entriesAtStart),
    ends: new Uint32Array(entriesAtStart),
  };
  let settled = 0;

  return {
    findings,
    reset(): void {
      findings.count = 0;
      settled = 0;
    },
    push(code, start, end): void {
      if (findings.count === findings.types.length) grow(findings);
      const at = findings.count++;
      findings.types[at] = code;
      findings.starts[at] = start;
      findings.ends[at] = end;
    },
    closeRow(row, bytes, from): void {
      if (findings.count === settled) return;
      for (let i = settled; i < findings.count; i++) {
        const start = findings.starts[i] as number;
        if (start > from && bytes[start - 1] === 0x5c) {
          findings.starts[i] = afterEscape(bytes, { from, start, end: findings.ends[i] as number });
        }
      }
      sortByStart(findings, settled);
      findings.count = mergeOverlaps(findings, settled);
      findings.rows.fill(row, settled, findings.count);
      settled = findings.count;
    },
  };
}

/**
 * Detectors push almost in order: each looks only a little back from its trigger. Insertion sort is then
 * linear; an entry is moved at most past those whose triggers lie within that look-back.
 */
function sortByStart({ count, types, starts, ends }: Findings, first: number): void {
  for (let i = first + 1; i < count; i++) {
    const type = types[i] as number;
    const start = starts[i] as number;
    const end = ends[i] as number;
    let slot = i;
    while (slot > first && (starts[slot - 1] as number) > start) {
      types[slot] = types[slot - 1] as number;
      starts[slot] = starts[slot - 1] as number;
      ends[slot] = ends[slot - 1] as number;
      slot--;
    }
    types[slot] = type;
    starts[slot] = start;
    ends[slot] = end;
  }
}

/**
 * Joins entries that overlap into their union under the name of the highest priority; returns the new count.
 */
function mergeOverlaps({ count, types, starts, ends }: Findings, first: number): number {
  let last = first;
  for (let i = first + 1; i < count; i++) {
    const type = types[i] as number;
    if ((starts[i] as number) < (ends[last] as number)) {
      ends[last] = Math.max(ends[last] as number, ends[i] as number);
      if ((findingPriority[type] as number) > (findingPriority[types[last] as number] as number))
        types[last] = type;
      continue;
    }
    last++;
    types[last] = type;
    starts[last] = starts[i] as number;
    ends[last] = ends[i] as number;
  }
  return last + 1;
}

/** A span that begins with the second byte of a JSON escape begins after it: `\[EMAIL]` would not be JSON. */
function afterEscape(
  bytes: Uint8Array,
  { from, start, end }: { from: number; start: number; end: number },
): number {
  if (unicodeEscapeAt(bytes, start, end) >= 0) return isEscaped(bytes, from, start) ? start + 5 : start;
  return isEscapeLetter(bytes[start] as number) && isEscaped(bytes, from, start) ? start + 1 : start;
}

function grow(findings: Findings): void {
  const length = findings.types.length * 2;
  const types = new Uint8Array(length);
  types.set(findings.types);
  findings.types = types;
  for (const column of ["rows", "starts", "ends"] as const) {
    const larger = new Uint32Array(length);
    larger.set(findings[column]);
    findings[column] = larger;
  }
}

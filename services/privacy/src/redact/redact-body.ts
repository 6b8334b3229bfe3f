import type { Body } from "@millrace/envelope";
import { type FindingType, findingCodes, findingTypes } from "../detect/finding-type.js";
import type { Findings } from "../detect/scan/findings.js";
import type { Boundaries } from "../detect/scan/scanner.js";

/** What was found in a body and is not in it any more. The columns are parallel, an entry per finding. */
export interface RedactedColumns {
  /** Bytes of each message, as they are now. */
  lengths: Uint32Array;
  /** Message index. */
  rows: Uint32Array;
  /** Codes of finding-type.ts. */
  types: Uint8Array;
  /** Byte offset of the token in its redacted message, and the token's bytes; added quotes lie outside. */
  starts: Uint32Array;
  tokenLengths: Uint32Array;
}

/** A batch's body without what was found in it. */
export interface RedactedBody extends RedactedColumns {
  /** The given body itself when nothing was found; else a new buffer, or the front of `options.output`. */
  body: Uint8Array;
}

/** The same without a copy: views of the body and tokens between them, or itself where nothing was found. */
export interface CutBody extends RedactedColumns {
  body: Body;
  bodyBytes: number;
}

const quote = 0x22;
const dash = 0x2d;

const tokens: readonly Uint8Array[] = tokensByCode((token) => token);
const quotedTokens: readonly Uint8Array[] = tokensByCode((token) => `"${token}"`);

/**
 * Puts `[TYPE]` in the place of each finding. In a message that begins as JSON a finding that is a bare
 * number gets quotes too, so that the message stays JSON. `output` is memory to write to when it is large
 * enough.
 */
export function redactBody(
  body: Uint8Array,
  findings: Findings,
  options: Boundaries & { output?: Uint8Array },
): RedactedBody {
  if (findings.count === 0) return { body, ...replaceFindings(body, findings, options, untouched) };
  const target = outputFor(body, findings, options.output);
  let written = 0;
  const columns = replaceFindings(body, findings, options, {
    keep: (from, to) => void (written = copy(body, { target, from, to, at: written })),
    put: (token) => {
      target.set(token, written);
      written += token.length;
    },
  });
  return { body: target.subarray(0, written), ...columns };
}

/**
 * From this many bytes a finding on, a view of what is kept costs less than a copy of it: about a microsecond
 * for the view, its part of the checksum and its place in the write (measured at 8 MiB).
 */
const cutBytesMin = 16 * 1024;

/** Whether `cutBody` is the faster one; so it is where nothing was found. */
export function isBetterCut(body: Uint8Array, findings: Findings): boolean {
  return findings.count * cutBytesMin <= body.length;
}

/** `redactBody` for few findings in a large body: what lies between them stays where it is. */
export function cutBody(body: Uint8Array, findings: Findings, boundaries: Boundaries): CutBody {
  if (findings.count === 0) return { ...redactBody(body, findings, boundaries), bodyBytes: body.length };
  const parts: Uint8Array[] = [];
  let bodyBytes = 0;
  const put = (part: Uint8Array): void => {
    parts.push(part);
    bodyBytes += part.length;
  };
  const keep = (from: number, to: number): void => {
    if (to > from) put(body.subarray(from, to));
  };
  const columns = replaceFindings(body, findings, boundaries, { keep, put });
  return { body: parts, bodyBytes, ...columns };
}

/** Where a redacted body goes, from its first byte to its last. */
interface Target {
  /** Bytes [from, to) of the body. */
  keep(from: number, to: number): void;
  put(token: Uint8Array): void;
}

const untouched: Target = { keep: () => undefined, put: () => undefined };

function replaceFindings(
  body: Uint8Array,
  findings: Findings,
  boundaries: Boundaries,
  target: Target,
): RedactedColumns {
  const { count } = findings;
  const rows = findings.rows.slice(0, count);
  const types = findings.types.slice(0, count);
  const starts = new Uint32Array(count);
  const tokenLengths = new Uint32Array(count);
  const lengths = Uint32Array.from(boundaries.lengths);
  const json = createJsonCursor(body);
  let row = -1;
  let rowStart = 0;
  let nextRowStart = 0;
  let read = 0;
  /** Bytes that the body has grown by so far, and by the end of the messages before this one. */
  let growth = 0;
  let growthBefore = 0;
  for (let i = 0; i < count; i++) {
    const findingRow = rows[i] as number;
    while (row < findingRow) {
      row++;
      rowStart = nextRowStart;
      nextRowStart += (boundaries.lengths[row] as number) + boundaries.gapBytes;
      growthBefore = growth;
    }
    const from = findings.starts[i] as number;
    const end = findings.ends[i] as number;
    const code = types[i] as number;
    const rowEnd = nextRowStart - boundaries.gapBytes;
    const isNumber = json.isBareNumber({ rowStart, rowEnd, start: from, end });
    // The sign belongs to the number: -"[CARD]" would not be JSON.
    const start = isNumber && body[from - 1] === dash ? from - 1 : from;
    const token = (isNumber ? quotedTokens : tokens)[code] as Uint8Array;
    target.keep(read, start);
    target.put(token);
    const quotes = isNumber ? 1 : 0;
    starts[i] = start + growth + quotes - (rowStart + growthBefore);
    tokenLengths[i] = token.length - 2 * quotes;
    growth += token.length - (end - start);
    lengths[findingRow] = (lengths[findingRow] as number) + token.length - (end - start);
    read = end;
  }
  target.keep(read, body.length);
  return { lengths, rows, types, starts, tokenLengths };
}

/** Memory for the largest result that these findings can have. */
function outputFor(body: Uint8Array, findings: Findings, output: Uint8Array | undefined): Uint8Array {
  let bytes = body.length;
  for (let i = 0; i < findings.count; i++) {
    const token = quotedTokens[findings.types[i] as number] as Uint8Array;
    bytes += token.length - ((findings.ends[i] as number) - (findings.starts[i] as number));
  }
  return output !== undefined && output.length >= bytes ? output : new Uint8Array(bytes);
}

/** Below this, a loop is faster than making a view for a native copy. */
const loopBytesMax = 48;

/** Copies [from, to) to `target` at `at` and returns the offset after it. */
function copy(
  body: Uint8Array,
  { target, from, to, at }: { target: Uint8Array; from: number; to: number; at: number },
): number {
  if (to - from > loopBytesMax) target.set(body.subarray(from, to), at);
  else for (let i = from; i < to; i++) target[at + i - from] = body[i] as number;
  return at + to - from;
}

interface Place {
  rowStart: number;
  rowEnd: number;
  start: number;
  end: number;
}

interface JsonCursor {
  /**
   * Whether [start, end) is a whole JSON number outside of a string, but for its sign. Asked in order of
   * offsets.
   */
  isBareNumber(place: Place): boolean;
}

/** Follows the quotes of a message only as far as asked, each byte once, however many findings there are. */
function createJsonCursor(body: Uint8Array): JsonCursor {
  let cursorRow = -1;
  let cursor = 0;
  let isInString = false;
  let isJson = false;

  function enterRow(rowStart: number, rowEnd: number): void {
    cursorRow = rowStart;
    cursor = rowStart;
    isInString = false;
    while (cursor < rowEnd && isBlank(body[cursor])) cursor++;
    isJson = cursor < rowEnd && isOneOf(body[cursor], "{[");
  }

  function followTo(start: number): void {
    for (; cursor < start; cursor++) {
      const byte = body[cursor];
      if (byte === quote) isInString = !isInString;
      else if (byte === 0x5c && isInString) cursor++;
    }
  }

  return {
    isBareNumber({ rowStart, rowEnd, start, end }): boolean {
      let before = start - 1;
      if (before >= rowStart && body[before] === dash) before--;
      while (before >= rowStart && isBlank(body[before])) before--;
      if (before < rowStart || !isOneOf(body[before], ":,[")) return false;
      let after = end;
      while (after < rowEnd && isBlank(body[after])) after++;
      if (after === rowEnd || !isOneOf(body[after], ",}]")) return false;
      for (let i = start; i < end; i++) if (!isDigit(body[i])) return false;
      if (cursorRow !== rowStart) enterRow(rowStart, rowEnd);
      if (!isJson) return false;
      followTo(start);
      return !isInString;
    },
  };
}

function isBlank(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x09 || byte === 0x0a || byte === 0x0d;
}

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= 0x30 && byte <= 0x39;
}

function isOneOf(byte: number | undefined, characters: string): boolean {
  return byte !== undefined && characters.includes(String.fromCharCode(byte));
}

function tokensByCode(written: (token: string) => string): Uint8Array[] {
  const byCode: Uint8Array[] = [];
  for (const type of findingTypes)
    byCode[findingCodes[type]] = new TextEncoder().encode(written(tokenOf(type)));
  return byCode;
}

/** What stands in the place of a finding. */
export function tokenOf(type: FindingType): string {
  return `[${type}]`;
}

/**
 * A row of a CSV file as RFC 4180 has it: fields between delimiters, in quotes where they hold a delimiter, a
 * line feed or a quote (doubled). A CR before the line feed belongs to the separator.
 */
export type ScannedRow =
  | { kind: "row"; fields: Uint8Array[]; next: number }
  /** `why` is a fixed sentence; the next row begins at `next`. */
  | { kind: "malformed"; why: string; next: number }
  /** It does not end in what is there. */
  | { kind: "incomplete"; inQuotes: boolean };

const quote = 0x22;
const lineFeed = 0x0a;
const carriageReturn = 0x0d;

interface Field {
  bytes: Uint8Array;
  /** Where its separator stands. */
  end: number;
}

/** Scans the row that begins at `from`. `isLast`: the file ends at `end`, and the row does too. */
export function scanRow(
  bytes: Buffer,
  { from, end, delimiter, isLast }: { from: number; end: number; delimiter: number; isLast: boolean },
): ScannedRow {
  const fields: Uint8Array[] = [];
  for (let at = from; ; ) {
    const isQuoted = bytes[at] === quote && at < end;
    const field = isQuoted ? quotedField(bytes, at, end) : plainField(bytes, { at, end, delimiter });
    if (field === undefined) return { kind: "incomplete", inQuotes: true };
    fields.push(field.bytes);
    let stop = field.end;
    if (isQuoted && bytes[stop] === carriageReturn && bytes[stop + 1] === lineFeed) stop += 1;
    if (stop >= end)
      return isLast ? { kind: "row", fields, next: end } : { kind: "incomplete", inQuotes: false };
    if (bytes[stop] === lineFeed) return { kind: "row", fields, next: stop + 1 };
    if (bytes[stop] !== delimiter) {
      if (isQuoted && bytes[stop] === carriageReturn && stop + 1 >= end && !isLast) {
        return { kind: "incomplete", inQuotes: false };
      }
      const feed = bytes.subarray(0, end).indexOf(lineFeed, stop);
      if (feed < 0 && !isLast) return { kind: "incomplete", inQuotes: false };
      return { kind: "malformed", why: "text behind a closing quote", next: feed < 0 ? end : feed + 1 };
    }
    at = stop + 1;
  }
}

function plainField(
  bytes: Buffer,
  { at, end, delimiter }: { at: number; end: number; delimiter: number },
): Field {
  let stop = at;
  while (stop < end && bytes[stop] !== delimiter && bytes[stop] !== lineFeed) stop++;
  const isAtFeed = stop < end && bytes[stop] === lineFeed;
  const hasReturn = stop > at && bytes[stop - 1] === carriageReturn && (isAtFeed || stop === end);
  return { bytes: bytes.subarray(at, hasReturn ? stop - 1 : stop), end: stop };
}

/** Undefined: the closing quote is not there. */
function quotedField(bytes: Buffer, at: number, end: number): Field | undefined {
  let isEscaped = false;
  for (let from = at + 1; ; ) {
    const closing = bytes.indexOf(quote, from);
    if (closing < 0 || closing >= end) return undefined;
    if (closing + 1 < end && bytes[closing + 1] === quote) {
      isEscaped = true;
      from = closing + 2;
      continue;
    }
    const raw = bytes.subarray(at + 1, closing);
    return { bytes: isEscaped ? unescaped(raw) : raw, end: closing + 1 };
  }
}

function unescaped(raw: Buffer): Buffer {
  const plain = Buffer.allocUnsafe(raw.length);
  let length = 0;
  for (let at = 0; at < raw.length; at++) {
    plain[length++] = raw[at] as number;
    if (raw[at] === quote) at++;
  }
  return plain.subarray(0, length);
}

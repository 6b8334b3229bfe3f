import { assert, CodedError } from "@millrace/errors";
import type { FileBytes } from "../file-reader.js";
import type { BlockSlice, Frame, FramedItem, FrameLimits, LineFramer } from "../lines/line-framer.js";
import { scanRow } from "./csv-row.js";

/** Names of columns, and where the first row begins. */
export interface CsvHeader {
  names: string[];
  end: number;
}

const headerBytesMax = 64 * 1024;
const columnsMax = 1_024;
/** Each row repeats the names. */
const nameCharsMax = 128;
const byteOrderMark = "\ufeff";

/**
 * The first row of a file; undefined while it is not complete. An empty name becomes `column_3`, one that
 * stands there twice `name_2`.
 */
export async function readHeader(
  file: FileBytes,
  { size, delimiter }: { size: number; delimiter: number },
): Promise<CsvHeader | undefined> {
  const bytes = Buffer.alloc(Math.min(size, headerBytesMax));
  let length = 0;
  while (length < bytes.length) {
    const { bytesRead } = await file.read(bytes, length, bytes.length - length, length);
    if (bytesRead === 0) break;
    length += bytesRead;
  }
  const row = scanRow(bytes, { from: 0, end: length, delimiter, isLast: false });
  if (row.kind === "incomplete" && length < headerBytesMax) return undefined;
  const fields = row.kind === "row" ? row.fields.map(decoded) : [];
  const isLong = fields.some((name = "") => name.length > nameCharsMax);
  if (row.kind !== "row" || fields.includes(undefined) || isLong || fields.length > columnsMax) {
    throw new CodedError("failed_precondition", "its first row is no header of a CSV file", {
      field: "source.file.format",
      remedy:
        `Begin it with the names of at most ${columnsMax} columns, ` +
        `each of at most ${nameCharsMax} characters, in UTF-8.`,
    });
  }
  return {
    names: distinct(fields.map((name = "") => name.replace(byteOrderMark, "").trim())),
    end: row.next,
  };
}

function distinct(given: readonly string[]): string[] {
  const seen = new Set<string>();
  return given.map((name, index) => {
    const base = name === "" ? `column_${index + 1}` : name;
    let unique = base;
    for (let count = 2; seen.has(unique); count++) unique = `${base}_${count}`;
    seen.add(unique);
    return unique;
  });
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Undefined: it is no UTF-8. */
function decoded(bytes: Uint8Array): string | undefined {
  try {
    return utf8.decode(bytes);
  } catch {
    return undefined;
  }
}

/**
 * Makes each row of a CSV file a JSON object of texts, by the names of the header.
 *
 *   position →   0                                                  to
 *   file         │ a,b \n │ 1,2 \n │ 3,"x \n y" \n │ incomplete row …
 *   messages              │ {"a":"1","b":"2"} │ {"a":"3","b":"x \n y"}
 *
 * A row reaches from where the one before ended, so header and blank lines belong to the row that follows.
 */
export function createCsvFramer(
  limits: FrameLimits,
  { position, header, delimiter }: { position: number; header: CsvHeader; delimiter: number },
): LineFramer {
  return new CsvFramer(limits, { position, header, delimiter });
}

class CsvFramer implements LineFramer {
  readonly #limits: FrameLimits;
  readonly #keys: string[];
  readonly #headerEnd: number;
  readonly #delimiter: number;
  #position: number;
  #skipping: { from: number; prefix: Uint8Array; seenBytes: number } | undefined;
  #rows: Buffer[] = [];
  #deltas: number[] = [];
  #bytes = 0;
  #openFrom: number;

  constructor(
    limits: FrameLimits,
    { position, header, delimiter }: { position: number; header: CsvHeader; delimiter: number },
  ) {
    this.#limits = limits;
    this.#keys = header.names.map((name) => `${JSON.stringify(name)}:`);
    this.#headerEnd = header.end;
    this.#delimiter = delimiter;
    this.#position = position;
    this.#openFrom = position;
  }

  get position(): number {
    return this.#position;
  }

  get framedTo(): number {
    return this.#skipping?.from ?? this.#position;
  }

  push(slice: BlockSlice, _more: boolean): FramedItem[] {
    return this.#take(slice, false);
  }

  flush(slice: BlockSlice): FramedItem[] {
    const items = this.#take(slice, true);
    if (this.#skipping !== undefined) items.push(this.#endSkip());
    return items;
  }

  #take({ block, start, end }: BlockSlice, isLast: boolean): FramedItem[] {
    const items: FramedItem[] = [];
    /** Everything before is in an item; the row that is next reaches from here. */
    let taken = this.#skipping === undefined ? start : this.#skip(block, { start, end }, items);
    let cursor = taken + Math.max(0, this.#headerEnd - this.#position);
    while (cursor < end) {
      const row = scanRow(block, { from: cursor, end, delimiter: this.#delimiter, isLast });
      if (row.kind === "incomplete" && !isLast) break;
      const next = row.kind === "incomplete" ? end : row.next;
      const reach = next - taken;
      if (row.kind === "row") {
        const isBlank = row.fields.length === 1 && row.fields[0]?.length === 0;
        if (!isBlank || (isLast && next === end)) {
          if (isBlank) this.#position += reach;
          else this.#add(row.fields, { reach, raw: block.subarray(cursor, next) }, items);
          taken = next;
        }
      } else {
        const why = row.kind === "malformed" ? row.why : "a quote is not closed";
        this.#refuse(why, { reach, raw: block.subarray(cursor, next) }, items);
        taken = next;
      }
      cursor = next;
    }
    this.#close(items);
    if (end - taken > this.#limits.messageBytesMax) this.#beginSkip(block.subarray(taken, end));
    return items;
  }

  #add(fields: Uint8Array[], { reach, raw }: RowPlace, items: FramedItem[]): void {
    const texts = fields.map(decoded);
    if (fields.length !== this.#keys.length) {
      this.#refuse("a row has not as many fields as the header", { reach, raw }, items);
    } else if (texts.includes(undefined)) {
      this.#refuse("a row is not UTF-8", { reach, raw }, items);
    } else {
      const parts = texts.map((text, index) => `${this.#keys[index]}${JSON.stringify(text)}`);
      const row = Buffer.from(`{${parts.join(",")}}`);
      const { messageBytesMax, bodyBytesMax, countMax } = this.#limits;
      if (row.length > messageBytesMax) {
        this.#refuse("a row is above the size limit of a message", { reach, raw }, items);
        return;
      }
      if (this.#rows.length === countMax || this.#bytes + row.length > bodyBytesMax) this.#close(items);
      this.#rows.push(row);
      this.#deltas.push(reach);
      this.#bytes += row.length;
      this.#position += reach;
    }
  }

  #close(items: FramedItem[]): void {
    const rows = this.#rows;
    if (rows.length > 0) {
      const frame: Frame = {
        kind: "frame",
        body: Buffer.concat(rows),
        lengths: Uint32Array.from(rows, ({ length }) => length),
        positionFrom: this.#openFrom,
        positionTo: this.#position,
        count: rows.length,
        unterminated: false,
        packed: { positionDeltas: Uint32Array.from(this.#deltas) },
      };
      items.push(frame);
    }
    this.#rows = [];
    this.#deltas = [];
    this.#bytes = 0;
    this.#openFrom = this.#position;
  }

  #refuse(why: string, { reach, raw }: RowPlace, items: FramedItem[]): void {
    this.#close(items);
    const positionFrom = this.#position;
    this.#position += reach;
    this.#openFrom = this.#position;
    const prefix = new Uint8Array(raw.subarray(0, this.#limits.prefixBytesMax));
    items.push({
      kind: "rejection",
      reason: why,
      positionFrom,
      positionTo: this.#position,
      prefix,
      truncatedBytes: raw.length - prefix.length,
    });
  }

  /** A row without an end, as after a stray quote: it is passed over to the next line feed. */
  #beginSkip(raw: Buffer): void {
    assert(this.#skipping === undefined, "one row is passed over at a time");
    const prefix = new Uint8Array(raw.subarray(0, this.#limits.prefixBytesMax));
    this.#skipping = { from: this.#position, prefix, seenBytes: raw.length };
    this.#position += raw.length;
  }

  #skip(block: Buffer, { start, end }: { start: number; end: number }, items: FramedItem[]): number {
    const feed = block.subarray(0, end).indexOf(0x0a, start);
    const after = feed < 0 ? end : feed + 1;
    if (this.#skipping !== undefined) this.#skipping.seenBytes += after - start;
    this.#position += after - start;
    if (feed >= 0) items.push(this.#endSkip());
    return after;
  }

  #endSkip(): FramedItem {
    const skipped = this.#skipping;
    assert(skipped !== undefined, "a row is passed over");
    this.#skipping = undefined;
    this.#openFrom = this.#position;
    return {
      kind: "rejection",
      reason: "a row is above the size limit of a message",
      positionFrom: skipped.from,
      positionTo: this.#position,
      prefix: skipped.prefix,
      truncatedBytes: skipped.seenBytes - skipped.prefix.length,
    };
  }
}

interface RowPlace {
  /** Bytes from the end of the row before. */
  reach: number;
  raw: Buffer;
}

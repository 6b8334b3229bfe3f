import type { LedgerKey } from "@millrace/messaging";
import { crc32 } from "@millrace/files";

/** A batch that is on the bus and whose sender is told so next. */
export interface Accepted extends LedgerKey {
  /** Of the stream: one of the same name may come after it, and has none of its positions. */
  createdMs: number;
  from: number;
  to: number;
  count: number;
  /** Of body and columns. */
  bytes: number;
}

/*
 * A line of the accept journal, whose checksum is over all behind it:
 *
 *     <crc-32, 8 hex digits> <number> <tenant> <stream> <createdMs> <source> <from> <to> <count> <bytes>\n
 *
 * Numbers rise, over both files: a line's count is of what those before it had not.
 *
 * The checksum keeps two halves that lie one behind the other from being read as positions that nobody sent:
 * their source would go on behind them, and what it has there would be lost.
 */
export interface LineFormat {
  format(line: AcceptLine): string;
  /** Undefined: not a line that was written whole. */
  parse(text: string): AcceptLine | undefined;
}

export interface AcceptLine extends Accepted {
  number: number;
}

export const acceptLine: LineFormat = {
  format: ({ number, tenant, stream, createdMs, source, from, to, count, bytes }) => {
    const text = `${number} ${tenant} ${stream} ${createdMs} ${source} ${from} ${to} ${count} ${bytes}`;
    return `${checksumOf(text)} ${text}\n`;
  },
  parse: (text) => (text.slice(0, 8) === checksumOf(text.slice(9)) ? fieldsOf(text.slice(9)) : undefined),
};

export function fieldsOf(text: string): AcceptLine | undefined {
  const [at = "", tenant = "", stream = "", created = "", source = "", ...rest] = text.split(" ");
  const numbers = [at, created, ...rest].map(Number);
  const [number = 0, createdMs = 0, from = 0, to = 0, count = 0, bytes = 0] = numbers;
  // One of another version, whatever its checksum.
  if (numbers.length !== 6 || !numbers.every(Number.isSafeInteger) || from < 0 || to <= from)
    return undefined;
  return { number, tenant, stream, createdMs, source, from, to, count, bytes };
}

function checksumOf(text: string): string {
  return crc32(Buffer.from(text)).toString(16).padStart(8, "0");
}

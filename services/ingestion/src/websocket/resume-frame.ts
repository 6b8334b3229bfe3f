import type { Row } from "./row-queue.js";

/**
 * How a peer is asked to go on behind what was received: the value of a field of the last JSON message,
 * written as JSON in place of {value} in a frame.
 */
export interface ResumeFrame {
  /** Such as `{"op":"replay","after":{value}}`. */
  frame: string;
  /** Where the value lies in a message: `id`, `data.seq`. */
  field: string;
}

/** Rows of a batch that are looked into, the last first: others than data carry no value. */
const rowsSearchedMax = 64;
/** A longer value is no place in a feed. */
const valueCharsMax = 256;

export const resumeFrame = ({ frame }: ResumeFrame, value: string): string =>
  // By a function: a value with a $ is not a pattern.
  frame.replaceAll("{value}", () => value);

/** The value in the last message that has one, as JSON: a text or a number. */
export function lastValue({ field }: ResumeFrame, rows: readonly Row[]): string | undefined {
  const path = field.split(".");
  const first = Math.max(0, rows.length - rowsSearchedMax);
  for (let at = rows.length - 1; at >= first; at--) {
    const found = valueIn(rows[at], path);
    if (found !== undefined) return found;
  }
  return undefined;
}

function valueIn(row: Row | undefined, path: readonly string[]): string | undefined {
  if (row === undefined || !row.isText) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(row.data.toString("utf8"));
  } catch {
    return undefined;
  }
  for (const name of path) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, name)) return undefined;
    value = (value as Record<string, unknown>)[name];
  }
  if (typeof value !== "string" && typeof value !== "number") return undefined;
  // The parser has rounded it: it would be another place.
  if (typeof value === "number" && Math.abs(value) > Number.MAX_SAFE_INTEGER) return undefined;
  const written = JSON.stringify(value);
  return written.length <= valueCharsMax ? written : undefined;
}

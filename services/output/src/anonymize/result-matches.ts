import { decodeBatch, messageViews, type OpenBatch, openBatch } from "@millrace/envelope";
import type { Since } from "@millrace/messaging";
import type { Header } from "@millrace/proto/batch";
import type { Message, Position } from "@millrace/proto/message";

/** A result message that holds some of the wanted contents. */
export interface ResultMatch {
  result: Since;
  open: OpenBatch;
  /** The rows that do, as they are stored. */
  rows: ReadonlyMap<number, Message>;
}

/** Ids of messages, and where each stands in its source as far as that is known. */
export type Wanted = ReadonlyMap<string, Position | undefined>;

/** The rows of wanted ids; undefined where the result message has none. */
export function matchResult(result: Since, wanted: Wanted): ResultMatch | undefined {
  const batch = decodeBatch(result.data);
  if (batch.header === undefined || !mayHold(batch.header, wanted)) return undefined;
  const open = openBatch(batch, batch.body?.$case === "inline" ? batch.body.value : new Uint8Array());
  const view = messageViews(open);
  const rows = new Map<number, Message>();
  for (let row = 0; row < open.header.count; row++) {
    const message = view(row);
    if (wanted.has(message.id)) rows.set(row, message);
  }
  return rows.size === 0 ? undefined : { result, open, rows };
}

/** Told by positions: an id is a hash, and one a row of all that is stored would take seconds. */
function mayHold({ source, positionFrom, positionTo }: Header, wanted: Wanted): boolean {
  for (const place of wanted.values()) {
    if (place === undefined) return true;
    if (place.source === source && place.offset >= positionFrom && place.offset < positionTo) return true;
  }
  return false;
}

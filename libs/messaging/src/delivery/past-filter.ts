import {
  imageWishes,
  limits,
  type OpenBatch,
  rowKind,
  selectRows,
  type SendableBatch,
  splitBatch,
  wholeBatch,
} from "@millrace/envelope";
import { Kind } from "@millrace/proto/batch";
import type { Stream } from "@millrace/proto/stream";
import { enrichedFlags, routeOf, subjects } from "../broker/subjects.js";
import type { OutgoingBatch } from "./consume/options.js";

/**
 * Where a batch goes that is past the filter, or exempt from it: to inference when there is something to
 * infer, else straight to the sinks.
 */
export function pastFilter(clean: SendableBatch, stream: Stream): OutgoingBatch[] {
  const route = routeOf(clean.header);
  if (isInferred(clean, stream)) {
    // Small enough that a batch is about a second of work, and travels on the bus. The pieces get the same
    // ids whoever cuts them: one that was sent before its stream's exemption changed is recognised.
    const pieces = splitBatch(
      wholeBatch(clean),
      limits.inferenceMessagesMax,
      limits.inlineBytesMax,
      "privacy",
    );
    return pieces.flatMap(withinColumns).map((batch) => ({ subject: subjects.clean(route), batch }));
  }
  const subject = subjects.enriched(enrichedFlags(stream.outputs), route);
  return withinColumns(clean).map((batch) => ({ subject, batch }));
}

/** Of a message: its length and how far it reaches. */
const rowBytes = 8;
/** Row, type, start and length; of one in a name, row and type. */
const findingBytes = 13;
const nameFindingBytes = 4;
/** Row, length and tag of a value of an attribute. */
const valueBytes = 8;
/** Half of what is allowed, as gateway counts it: names and attributes take their part as well. */
const columnsBytes = limits.columnsBytesMax / 2;

/**
 * Pieces whose columns and findings fit one bus message: a body of 12 MiB may lie in a segment, but a finding
 * in every few bytes of it would outgrow the message that refers to it.
 */
function withinColumns(clean: SendableBatch): SendableBatch[] {
  const { count } = clean.header;
  const { attributes } = clean.columns;
  const { findings } = clean.annotations;
  // Exempt: it came within its bounds, and nothing was found in it.
  if (findings === undefined) return [clean];
  const { rows, nameRows } = findings;
  let most = rowBytes * count + findingBytes * rows.length + nameFindingBytes * nameRows.length;
  for (const { values } of attributes) for (const value of values) most += valueBytes + 3 * value.length;
  if (most <= columnsBytes) return [clean];
  const bytes = new Uint32Array(count).fill(rowBytes);
  const add = (row: number, more: number): void => {
    bytes[row] = (bytes[row] as number) + more;
  };
  for (const row of rows) add(row, findingBytes);
  for (const row of nameRows) add(row, nameFindingBytes);
  for (const column of attributes) {
    const { values } = column;
    for (const [at, row] of column.rows.entries()) add(row, valueBytes + Buffer.byteLength(values[at] ?? ""));
  }
  const whole = wholeBatch(clean);
  const pieces: OpenBatch[] = [];
  let from = 0;
  let held = 0;
  for (let row = 0; row <= count; row++) {
    const more = bytes[row] ?? 0;
    if (row === count || (row > from && held + more > columnsBytes)) {
      pieces.push(selectRows(whole, from, row, { stage: "privacy-columns", index: pieces.length }));
      from = row;
      held = 0;
    }
    held += more;
  }
  return pieces;
}

/** Whether inference has to look at it. */
export function isInferred(
  { header, columns }: Pick<OpenBatch, "header" | "columns">,
  stream: Stream,
): boolean {
  const { embeddings = false, sentiment = false } = stream.enrichments ?? {};
  const wish = imageWishes(columns, stream.enrichments);
  for (let row = 0; row < header.count; row++) {
    const kind = rowKind(columns, row);
    if (kind === Kind.KIND_TEXT && (embeddings || sentiment)) return true;
    if (kind !== Kind.KIND_IMAGE) continue;
    const { objects, scene } = wish(row);
    if (objects || scene) return true;
  }
  return false;
}

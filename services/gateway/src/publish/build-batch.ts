import { batchId, columnBytes, idBytes, limits, messageId } from "@millrace/envelope";
import { type AttributeColumn, type Batch, type Columns, Framing, Kind, Lane } from "@millrace/proto/batch";
import type { Row } from "./outgoing-row.js";

export interface BatchOf {
  tenant: string;
  stream: string;
  source: string;
}

/** A row with what only its place in a source decides. */
export interface PlacedRow {
  row: Row;
  position: number;
  /** Where the client gave an idempotency key; 32 hex digits. */
  id: string | undefined;
}

/**
 * The batch of rows that follow each other in one source and lane. Buffer adds the partition and the accept
 * time.
 */
export function buildBatch(of: BatchOf, rows: readonly PlacedRow[]): Batch {
  const from = rows[0]?.position ?? 0;
  const to = from + rows.length;
  const body = bodyOf(rows);
  return {
    header: {
      ...of,
      id: idBytes(batchId(of, from, to)),
      lane: rows[0]?.row.lane ?? Lane.LANE_UNSPECIFIED,
      partition: "",
      positionFrom: from,
      positionTo: to,
      schemaVersion: 1,
      count: rows.length,
      framing: Framing.FRAMING_PACKED,
      bodyBytes: body.length,
      acceptedUs: 0,
      streamCreatedMs: 0,
    },
    columns: columnsOf(of, rows),
    body: { $case: "inline", value: body },
    annotations: undefined,
    passport: [],
  };
}

function bodyOf(rows: readonly PlacedRow[]): Buffer {
  const bytes = rows.reduce((sum, { row }) => sum + row.contentBytes, 0);
  const body = Buffer.allocUnsafe(bytes);
  let at = 0;
  for (const { row } of rows) {
    if (typeof row.content === "string") body.write(row.content, at, "utf8");
    else body.set(row.content, at);
    at += row.contentBytes;
  }
  return body;
}

/** How much fits into one batch: it closes before the row that would pass one of these. */
export function fits(
  size: { rows: number; bodyBytes: number; columnBytes: number },
  rowsMax: number,
): boolean {
  return (
    size.rows <= Math.min(rowsMax, limits.batchMessagesMax) &&
    size.bodyBytes <= limits.batchBytesMax &&
    // Half of what is allowed: a row's share of the columns is an estimate.
    size.columnBytes <= limits.columnsBytesMax / 2
  );
}

function columnsOf(of: BatchOf, rows: readonly PlacedRow[]): Columns {
  const base = rows[0]?.row.eventTimeMs ?? 0;
  const deltas = rows.map(({ row }) => row.eventTimeMs - base);
  const kind = rows[0]?.row.kind ?? Kind.KIND_UNSPECIFIED;
  const isMixed = rows.some(({ row }) => row.kind !== kind);
  const sourceIds = [...new Set(rows.map(({ row }) => row.sourceId))];
  const indexOf = new Map(sourceIds.map((sourceId, index) => [sourceId, index]));
  return {
    lengths: columnBytes(Uint32Array.from(rows, ({ row }) => row.contentBytes)),
    positionDeltas: new Uint8Array(),
    eventTimeBaseMs: base,
    eventTimeDeltasMs: deltas.every((delta) => delta === 0) ? [] : deltas,
    kind,
    kinds: isMixed ? rows.map(({ row }) => row.kind) : [],
    sourceIds,
    sourceIdIndexes: sourceIds.length === 1 ? [] : rows.map(({ row }) => indexOf.get(row.sourceId) ?? 0),
    ids: idsOf(of, rows),
    attributes: attributesOf(rows),
    rowsWithoutEmbedding: rows.flatMap(({ row }, index) => (row.withoutEmbedding ? [index] : [])),
    imageRows: rows.flatMap(({ row }, index) => (row.imageWish === 0 ? [] : [index])),
    imageWishes: rows.flatMap(({ row }) => (row.imageWish === 0 ? [] : [row.imageWish])),
  };
}

function idsOf(of: BatchOf, rows: readonly PlacedRow[]): Uint8Array {
  if (rows.every(({ id }) => id === undefined)) return new Uint8Array();
  return Buffer.concat(rows.map(({ id, position }) => idBytes(id ?? messageId(of, position))));
}

function attributesOf(rows: readonly PlacedRow[]): AttributeColumn[] {
  const columns = new Map<string, AttributeColumn>();
  for (const [index, { row }] of rows.entries()) {
    for (const [name, value] of row.attributes) {
      const column = columns.get(name) ?? { name, rows: [], values: [] };
      columns.set(name, column);
      column.rows.push(index);
      column.values.push(value);
    }
  }
  return [...columns.values()];
}

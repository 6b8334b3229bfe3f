import { CodedError, present } from "@millrace/errors";
import { Batch, Framing, type Header, Kind, type SegmentRange } from "@millrace/proto/batch";
import { complaintOfAnnotations, complaintOfSparse } from "./check-columns.js";
import { limits } from "./limits.js";
import {
  type OpenAnnotations,
  type OpenColumns,
  openAnnotations,
  openColumns,
  u32Column,
  wireAnnotations,
  wireColumns,
} from "./open-columns.js";

/**
 * A batch whose body is at hand, wherever it travelled: what handlers work on. Message i is
 * `body[offset i, offset i + lengths[i])`; see `rowOffsets`.
 */
export interface OpenBatch {
  header: Header;
  columns: OpenColumns;
  body: Uint8Array;
  /** CRC-32 of the body, where whoever fetched it has checked it: it need not be computed again. */
  bodyCrc32?: number;
  /**
   * Where the body lies already, in a segment that was leased to its writer: it is taken over, not written.
   */
  leased?: SegmentRange;
  annotations: OpenAnnotations;
  passport: Batch["passport"];
}

/** A body in one place, or in parts that lie where they are and follow one another. */
export type Body = Uint8Array | readonly Uint8Array[];

/** A batch that goes on to the next stage: nobody here looks into its body any more. */
export type SendableBatch = Omit<OpenBatch, "body"> & { body: Body };

export function partsOf(body: Body): readonly Uint8Array[] {
  return body instanceof Uint8Array ? [body] : body;
}

/** The batch with its body in one place; parts are copied. */
export function wholeBatch(batch: SendableBatch): OpenBatch {
  const { body } = batch;
  return { ...batch, body: body instanceof Uint8Array ? body : Buffer.concat(body) };
}

/** Bytes between one message and the next. */
export function stride(framing: Framing): 0 | 1 {
  return framing === Framing.FRAMING_LINES ? 1 : 0;
}

/**
 * Byte offsets of the messages in the body; one more entry than messages, the last being the body's length.
 */
export function rowOffsets(header: Header, columns: OpenColumns): Uint32Array {
  const gap = stride(header.framing);
  const offsets = new Uint32Array(columns.lengths.length + 1);
  let at = 0;
  for (let row = 0; row < columns.lengths.length; row++) {
    offsets[row] = at;
    at += (columns.lengths[row] as number) + gap;
  }
  offsets[columns.lengths.length] = at;
  return offsets;
}

/** Source positions of the messages, with the batch's end as the last entry. */
export function rowPositions(header: Header, columns: OpenColumns): Float64Array {
  const positions = new Float64Array(header.count + 1);
  const deltas = columns.positionDeltas;
  let at = header.positionFrom;
  for (let row = 0; row < header.count; row++) {
    positions[row] = at;
    at += deltas.length === 0 ? 1 : (deltas[row] as number);
  }
  positions[header.count] = at;
  return positions;
}

export function rowKind(columns: OpenColumns, row: number): Kind {
  return columns.kinds.length === 0 ? columns.kind : (columns.kinds[row] as Kind);
}

export function rowSourceId(columns: OpenColumns, row: number): string {
  const index = columns.sourceIdIndexes.length === 0 ? 0 : (columns.sourceIdIndexes[row] as number);
  return columns.sourceIds[index] ?? "";
}

export function rowEventTimeMs(columns: OpenColumns, row: number): number {
  const delta = columns.eventTimeDeltasMs.length === 0 ? 0 : (columns.eventTimeDeltasMs[row] as number);
  return columns.eventTimeBaseMs + delta;
}

export function rowAttributes(columns: OpenColumns, row: number): Record<string, string> {
  const attributes: Record<string, string> = {};
  for (const column of columns.attributes) {
    const at = column.rows.indexOf(row);
    if (at >= 0) attributes[column.name] = column.values[at] ?? "";
  }
  return attributes;
}

/**
 * Decodes and checks a batch from the wire. Errors: `data_loss`, since no sender of ours makes such a batch.
 */
export function decodeBatch(bytes: Uint8Array): Batch {
  let batch: Batch;
  try {
    batch = Batch.decode(bytes);
  } catch (cause) {
    throw new CodedError("data_loss", "decode batch: malformed protobuf", { field: "batch", cause });
  }
  checkBatch(batch);
  return batch;
}

/** Refuses a batch whose columns contradict each other or its body. */
export function checkBatch(batch: Batch): void {
  const { header, columns } = batch;
  if (header === undefined || columns === undefined)
    throw malformed("header or columns are missing", "header");
  const count = header.count;
  if (count === 0 || count > limits.batchMessagesMax) throw malformed(`count is ${count}`, "header.count");
  const lengths = u32Column(columns.lengths);
  const deltas = u32Column(columns.positionDeltas);
  if (columns.lengths.length !== 4 * count) throw malformed("lengths do not match count", "columns.lengths");
  if (columns.sourceIds.length === 0) throw malformed("no source id", "columns.source_ids");
  if (columns.positionDeltas.length !== 0 && columns.positionDeltas.length !== 4 * count)
    throw malformed("column does not match count", "columns.position_deltas");
  checkOptional(columns.eventTimeDeltasMs, count, "columns.event_time_deltas_ms");
  checkOptional(columns.kinds, count, "columns.kinds");
  checkOptional(columns.sourceIdIndexes, count, "columns.source_id_indexes");
  if (columns.ids.length !== 0 && columns.ids.length !== 16 * count)
    throw malformed("ids do not match", "columns.ids");
  for (const index of columns.sourceIdIndexes) {
    if (index >= columns.sourceIds.length)
      throw malformed("index beyond dictionary", "columns.source_id_indexes");
  }
  let bytes = count * stride(header.framing);
  for (let row = 0; row < count; row++) bytes += lengths[row] as number;
  if (bytes !== header.bodyBytes) throw malformed("lengths do not add up to the body", "columns.lengths");
  const held = batch.body?.$case === "range" ? batch.body.value.length : (batch.body?.value.length ?? 0);
  if (held !== header.bodyBytes) throw malformed("body has another length than the header says", "body");
  let end = header.positionFrom;
  if (deltas.length === 0) end += count;
  for (let row = 0; row < deltas.length; row++) end += deltas[row] as number;
  if (end !== header.positionTo)
    throw malformed("positions do not reach position_to", "columns.position_deltas");
  const complaint = complaintOfSparse(columns, count) ?? complaintOfAnnotations(batch.annotations, count);
  if (complaint !== undefined) throw malformed(complaint.what, complaint.field);
}

function checkOptional(column: readonly number[], count: number, field: string): void {
  if (column.length !== 0 && column.length !== count) throw malformed("column does not match count", field);
}

function malformed(what: string, field: string): CodedError {
  return new CodedError("data_loss", `check batch: ${what}`, { field: `batch.${field}` });
}

/** The batch with its body, once that has been fetched. */
export function openBatch(batch: Batch, body: Uint8Array): OpenBatch {
  return {
    header: present(batch.header, "batch header"),
    columns: openColumns(present(batch.columns, "batch columns")),
    body,
    annotations: openAnnotations(batch.annotations),
    passport: batch.passport,
  };
}

/** An open batch as it travels, its body where `place` of libs/segments put it. */
export function wireBatch(open: Omit<OpenBatch, "body">, body: Batch["body"]): Batch {
  return {
    header: open.header,
    columns: wireColumns(open.columns),
    body,
    annotations: wireAnnotations(open.annotations),
    passport: open.passport,
  };
}

/** `wireBatch` as protobuf. Without a body, for whoever adds the field behind it. */
export function encodeBatch(open: Omit<OpenBatch, "body">, body: Batch["body"]): Uint8Array {
  return Batch.encode(wireBatch(open, body)).finish();
}

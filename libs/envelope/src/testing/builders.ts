import { type Batch, Framing, Kind, Lane } from "@millrace/proto/batch";
import { batchId, idBytes } from "../ids.js";
import { type OpenBatch, type SendableBatch, wholeBatch, wireBatch } from "../open-batch.js";
import { noAnnotations, noColumn } from "../open-columns.js";

export interface BatchToBuild {
  tenant?: string;
  stream?: string;
  /** 32 hex digits. */
  source?: string;
  lane?: Lane;
  framing?: Framing;
  kind?: Kind;
  from?: number;
  texts: readonly string[];
  sourceIds?: readonly string[];
  attributes?: readonly Readonly<Record<string, string>>[];
}

/** A batch as buffer publishes it, out of texts; each message is one position. */
export function buildBatch(of: BatchToBuild): OpenBatch {
  const { tenant = "default", stream = "s", source = "0".repeat(32), from = 0, texts } = of;
  const framing = of.framing ?? Framing.FRAMING_PACKED;
  const encoded = texts.map((text) => Buffer.from(text));
  const gap = Buffer.from("\n".repeat(framing === Framing.FRAMING_LINES ? 1 : 0));
  const body = Buffer.concat(encoded.flatMap((text) => [text, gap]));
  const to = from + texts.length;
  const ids = [...new Set(of.sourceIds ?? ["a"])];
  return {
    header: {
      id: idBytes(batchId({ tenant, stream, source }, from, to)),
      tenant,
      stream,
      lane: of.lane ?? Lane.LANE_BATCH,
      partition: "any",
      source,
      positionFrom: from,
      positionTo: to,
      schemaVersion: 1,
      count: texts.length,
      framing,
      bodyBytes: body.length,
      acceptedUs: 1_700_000_000_000_000,
      streamCreatedMs: 0,
    },
    columns: {
      lengths: Uint32Array.from(encoded, (text) => text.length),
      positionDeltas: noColumn,
      eventTimeBaseMs: 1_700_000_000_000,
      eventTimeDeltasMs: [],
      kind: of.kind ?? Kind.KIND_TEXT,
      kinds: [],
      sourceIds: ids,
      sourceIdIndexes: of.sourceIds === undefined ? [] : of.sourceIds.map((id) => ids.indexOf(id)),
      ids: new Uint8Array(),
      attributes: attributeColumns(of.attributes ?? []),
      rowsWithoutEmbedding: [],
      imageRows: [],
      imageWishes: [],
    },
    body,
    annotations: noAnnotations,
    passport: [],
  };
}

/** The batch as it travels, its body inline. */
export function inlineBatch(open: OpenBatch): Batch {
  return wireBatch(open, { $case: "inline", value: open.body });
}

/** The texts of a batch, read back message by message. */
export function textsOf(batch: SendableBatch): string[] {
  const open = wholeBatch(batch);
  const gap = open.header.framing === Framing.FRAMING_LINES ? 1 : 0;
  let at = 0;
  return Array.from(open.columns.lengths, (length) => {
    const text = Buffer.from(open.body.subarray(at, at + length)).toString();
    at += length + gap;
    return text;
  });
}

function attributeColumns(
  rows: readonly Readonly<Record<string, string>>[],
): { name: string; rows: number[]; values: string[] }[] {
  const names = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  return names.map((name) => {
    const held = rows.flatMap((row, at) => (row[name] === undefined ? [] : [{ at, value: row[name] }]));
    return { name, rows: held.map(({ at }) => at), values: held.map(({ value }) => value) };
  });
}

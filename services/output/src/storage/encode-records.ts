import { isUtf8 } from "node:buffer";
import {
  faceBoxOf,
  faceCode,
  imageViews,
  messageId,
  omittedByRow,
  type OpenBatch,
  rowEventTimeMs,
  rowKind,
  rowOffsets,
  rowPositions,
} from "@millrace/envelope";
import { Kind, SentimentLabel } from "@millrace/proto/batch";
import { keyedIds, type RowRun, rowsOf } from "./choose-rows.js";
import type { EncodedRows } from "./encode-lines.js";

/** The name of a finding's type; the codes are privacy's. */
export type FindingName = (type: number) => string;

/** What ECMAScript calls a date, in milliseconds around the epoch. */
const dateMsMax = 8.64e15;

const labels: Readonly<Partial<Record<SentimentLabel, string>>> = {
  [SentimentLabel.SENTIMENT_LABEL_NEGATIVE]: "negative",
  [SentimentLabel.SENTIMENT_LABEL_NEUTRAL]: "neutral",
  [SentimentLabel.SENTIMENT_LABEL_POSITIVE]: "positive",
};

/**
 * STORAGE_FORMAT_RECORDS: a message is a JSON object on a line of its own, in this order of fields:
 *
 *   {"id": 32 hex, "source_id": "…", "source": 32 hex, "position": n, "reach": n, "event_time": RFC 3339,
 *    "text": "…", "data": base64 or "image": base64,
 *    "attributes": {name: value},
 *    "findings": [{"type": "EMAIL", "place": "body", "start": n, "length": n}, {"type", "place": "names"},
 *                 {"type": "FACE", "place": "box", "x": n, "y": n, "width": n, "height": n}],
 *    "findings_omitted": n, "sentiment": {"label": "positive", "score": −1…1, "model": "…"},
 *    "objects": [{"label", "score", "x", "y", "width", "height", "model"}],
 *    "scene": {"label", "score", "model"}}
 *
 * Reach: how far it goes in its source's positions, left out where it is 1. Text that is not UTF-8 is kept as
 * data. Starts and lengths count bytes, boxes pixels. Omitted: findings that are counted and not listed.
 * Attributes, findings, their count, sentiment, objects and scene are left out where there are none.
 */
export function encodeRecords(
  open: OpenBatch,
  runs: readonly RowRun[],
  findingName: FindingName,
): EncodedRows {
  const { header, columns } = open;
  const offsets = rowOffsets(header, columns);
  const positions = rowPositions(header, columns);
  const ids = keyedIds(open);
  const omitted = encoded(omittedByRow(open), "findings_omitted", (count) => count);
  const seen = imageViews(open);
  const more = [
    attributesByRow(open),
    findingsByRow(open, findingName),
    omitted,
    sentimentByRow(open),
    encoded(seen.objects, "objects", (objects) => objects),
    encoded(seen.scenes, "scene", (scene) => scene),
  ];
  const sourceIds = columns.sourceIds.map((sourceId) => JSON.stringify(sourceId));
  const source = JSON.stringify(header.source);
  const body = Buffer.from(open.body.buffer, open.body.byteOffset, open.body.byteLength);
  const timeOf = createTimeFormat();
  let text = "";
  for (const row of rowsOf(runs)) {
    const position = positions[row] as number;
    const id = ids.get(row) ?? messageId(header, position);
    const sourceId = sourceIds[columns.sourceIdIndexes[row] ?? 0] ?? '""';
    const content = body.subarray(offsets[row], (offsets[row] as number) + (columns.lengths[row] as number));
    text += `{"id":"${id}","source_id":${sourceId},"source":${source},"position":${position}`;
    const reach = (positions[row + 1] as number) - position;
    if (reach !== 1) text += `,"reach":${reach}`;
    text += timeOf(rowEventTimeMs(columns, row));
    text += encodeContent(content, rowKind(columns, row));
    for (const part of more) text += part.get(row) ?? "";
    text += "}\n";
  }
  return { bytes: text === "" ? [] : [Buffer.from(text)], runs: [...runs], rejected: [] };
}

function encodeContent(content: Buffer, kind: Kind): string {
  if (kind === Kind.KIND_TEXT && isUtf8(content))
    return `,"text":${JSON.stringify(content.toString("utf8"))}`;
  return `,"${kind === Kind.KIND_IMAGE ? "image" : "data"}":"${content.toString("base64")}"`;
}

/** Neighbours often have the same time, and formatting one costs more than the rest of a short record. */
function createTimeFormat(): (ms: number) => string {
  let lastMs = Number.NaN;
  let last = "";
  return (ms) => {
    if (ms === lastMs) return last;
    lastMs = ms;
    last = Math.abs(ms) <= dateMsMax ? `,"event_time":"${new Date(ms).toISOString()}"` : "";
    return last;
  };
}

function attributesByRow({ columns }: OpenBatch): Map<number, string> {
  const byRow = new Map<number, [string, string][]>();
  for (const { name, rows, values } of columns.attributes) {
    for (const [at, row] of rows.entries()) {
      const pairs = byRow.get(row) ?? [];
      pairs.push([name, values[at] ?? ""]);
      byRow.set(row, pairs);
    }
  }
  return encoded(byRow, "attributes", (pairs) => Object.fromEntries(pairs));
}

function findingsByRow({ annotations }: OpenBatch, findingName: FindingName): Map<number, string> {
  const byRow = new Map<number, object[]>();
  const { findings } = annotations;
  if (findings === undefined) return new Map();
  const add = (row: number, finding: object): void => {
    const list = byRow.get(row) ?? [];
    list.push(finding);
    byRow.set(row, list);
  };
  for (const [at, row] of findings.rows.entries()) {
    const [start, length] = [findings.starts[at] ?? 0, findings.lengths[at] ?? 0];
    const type = findingName(findings.types[at] ?? 0);
    if (findings.types[at] !== faceCode) add(row, { type, place: "body", start, length });
    else add(row, { type, place: "box", ...faceBoxOf(start, length) });
  }
  for (const [at, row] of findings.nameRows.entries()) {
    add(row, { type: findingName(findings.nameTypes[at] ?? 0), place: "names" });
  }
  return encoded(byRow, "findings", (list) => list);
}

function sentimentByRow({ annotations }: OpenBatch): Map<number, string> {
  const byRow = new Map<number, object>();
  const { sentiments } = annotations;
  if (sentiments === undefined) return new Map();
  for (const [at, row] of sentiments.rows.entries()) {
    const label =
      labels[sentiments.labels[at] ?? SentimentLabel.SENTIMENT_LABEL_UNSPECIFIED] ?? "unspecified";
    byRow.set(row, { label, score: sentiments.scores[at] ?? 0, model: sentiments.model });
  }
  return encoded(byRow, "sentiment", (sentiment) => sentiment);
}

function encoded<T>(
  byRow: ReadonlyMap<number, T>,
  field: string,
  shape: (value: T) => object | number,
): Map<number, string> {
  const texts = new Map<number, string>();
  for (const [row, value] of byRow) texts.set(row, `,"${field}":${JSON.stringify(shape(value))}`);
  return texts;
}

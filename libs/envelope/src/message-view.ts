import { isUtf8 } from "node:buffer";
import { Kind, Lane, SentimentLabel } from "@millrace/proto/batch";
import { type Finding, type Message, Priority, type Sentiment } from "@millrace/proto/message";
import { faceBoxOf } from "./face-box.js";
import { faceCode, findingName } from "./finding-types.js";
import { idText, messageId } from "./ids.js";
import { imageViews } from "./image/image-view.js";
import {
  type OpenBatch,
  rowEventTimeMs,
  rowKind,
  rowOffsets,
  rowPositions,
  rowSourceId,
} from "./open-batch.js";

export const labelNames: Readonly<Partial<Record<SentimentLabel, string>>> = {
  [SentimentLabel.SENTIMENT_LABEL_NEGATIVE]: "negative",
  [SentimentLabel.SENTIMENT_LABEL_NEUTRAL]: "neutral",
  [SentimentLabel.SENTIMENT_LABEL_POSITIVE]: "positive",
};

/**
 * The messages of a batch as the public API shows them, row by row. Text that is not UTF-8 is shown as data.
 * The content of data and images is a view into the batch's body.
 */
export function messageViews(open: OpenBatch): (row: number) => Message {
  const { header, columns, body } = open;
  const offsets = rowOffsets(header, columns);
  const positions = rowPositions(header, columns);
  const attributes = attributesByRow(open);
  const findings = findingsByRow(open);
  const omitted = omittedByRow(open);
  const sentiments = sentimentsByRow(open);
  const seen = imageViews(open);
  const passport = open.passport.map((hop) => ({ ...hop }));
  return (row) => {
    const at = offsets[row] as number;
    const content = body.subarray(at, at + (columns.lengths[row] as number));
    const position = positions[row] as number;
    const keyed = columns.ids.subarray(16 * row, 16 * row + 16);
    return {
      id: keyed.length === 16 ? idText(keyed) : messageId(header, position),
      stream: header.stream,
      sourceId: rowSourceId(columns, row),
      position: { source: header.source, offset: position },
      content: contentOf(content, rowKind(columns, row)),
      attributes: attributes.get(row) ?? {},
      eventTime: timestampOf(rowEventTimeMs(columns, row)),
      priority: header.lane === Lane.LANE_HIGH ? Priority.PRIORITY_HIGH : Priority.PRIORITY_BATCH,
      findings: findings.get(row) ?? [],
      sentiment: sentiments.get(row),
      passport,
      acceptedUs: header.acceptedUs,
      findingsOmitted: omitted.get(row) ?? 0,
      objects: seen.objects.get(row) ?? [],
      scene: seen.scenes.get(row),
    };
  };
}

function contentOf(content: Uint8Array, kind: Kind): NonNullable<Message["content"]> {
  if (kind === Kind.KIND_TEXT && isUtf8(content)) {
    const text = Buffer.from(content.buffer, content.byteOffset, content.byteLength).toString("utf8");
    return { $case: "text", value: text };
  }
  return { $case: kind === Kind.KIND_IMAGE ? "image" : "data", value: content };
}

function timestampOf(milliseconds: number): { seconds: number; nanos: number } {
  const seconds = Math.floor(milliseconds / 1000);
  return { seconds, nanos: Math.round((milliseconds - seconds * 1000) * 1e6) };
}

function attributesByRow({ columns }: OpenBatch): Map<number, Record<string, string>> {
  const byRow = new Map<number, Record<string, string>>();
  for (const { name, rows, values } of columns.attributes) {
    for (const [at, row] of rows.entries()) {
      const known = byRow.get(row) ?? {};
      byRow.set(row, known);
      known[name] = values[at] ?? "";
    }
  }
  return byRow;
}

/** How many findings of a message are counted and not listed. */
export function omittedByRow({
  annotations: { findings },
}: Pick<OpenBatch, "annotations">): Map<number, number> {
  const byRow = new Map<number, number>();
  for (const [at, row] of findings?.omittedRows.entries() ?? [])
    byRow.set(row, findings?.omittedCounts[at] ?? 0);
  return byRow;
}

function findingsByRow({ annotations }: OpenBatch): Map<number, Finding[]> {
  const byRow = new Map<number, Finding[]>();
  const add = (row: number, finding: Finding): void => {
    const known = byRow.get(row);
    if (known === undefined) byRow.set(row, [finding]);
    else known.push(finding);
  };
  const { findings } = annotations;
  if (findings === undefined) return byRow;
  for (const [at, row] of findings.rows.entries()) {
    const [start, length] = [findings.starts[at] ?? 0, findings.lengths[at] ?? 0];
    const code = findings.types[at] ?? 0;
    const type = findingName(code);
    if (code === faceCode) {
      add(row, { type, place: "box", start: 0, length: 0, box: faceBoxOf(start, length) });
    } else add(row, { type, place: "body", start, length, box: undefined });
  }
  for (const [at, row] of findings.nameRows.entries()) {
    add(row, {
      type: findingName(findings.nameTypes[at] ?? 0),
      place: "name",
      start: 0,
      length: 0,
      box: undefined,
    });
  }
  return byRow;
}

function sentimentsByRow({ annotations: { sentiments } }: OpenBatch): Map<number, Sentiment> {
  const byRow = new Map<number, Sentiment>();
  if (sentiments === undefined) return byRow;
  for (const [at, row] of sentiments.rows.entries()) {
    const label = labelNames[sentiments.labels[at] ?? SentimentLabel.SENTIMENT_LABEL_UNSPECIFIED] ?? "";
    byRow.set(row, { label, score: sentiments.scores[at] ?? 0, model: sentiments.model });
  }
  return byRow;
}

import { SentimentLabel, type AttributeColumn, type Sentiments } from "@millrace/proto/batch";
import type { Message } from "@millrace/proto/message";
import { packFaceBox } from "./face-box.js";
import { findingCode } from "./finding-types.js";
import { labelNames, messageViews } from "./message-view.js";
import { type OpenBatch, rowOffsets, rowSourceId, stride } from "./open-batch.js";
import type { OpenAnnotations, OpenColumns, OpenFindings } from "./open-columns.js";

/**
 * The batch with some of its messages as they are given here: content, source id, attributes, findings and
 * sentiment. Ids, positions and times stay, and nothing of what was there before is left in any column. The
 * caller gives the batch another id.
 */
export function rewriteRows(open: OpenBatch, rewritten: ReadonlyMap<number, Message>): OpenBatch {
  if (rewritten.size === 0) return open;
  const contents = rewriteContents(open, rewritten);
  return {
    header: { ...open.header, bodyBytes: contents.body.length },
    columns: {
      ...open.columns,
      lengths: contents.lengths,
      ...rewriteSourceIds(open, rewritten),
      attributes: rewriteAttributes(open, rewritten),
    },
    body: contents.body,
    annotations: rewriteAnnotations(open, rewritten),
    passport: open.passport,
  };
}

/** The bytes of a message's content. */
export function contentBytes({ content }: Pick<Message, "content">): Uint8Array {
  if (content === undefined) return new Uint8Array();
  return content.$case === "text" ? Buffer.from(content.value) : content.value;
}

function rewriteContents(
  { header, columns, body }: OpenBatch,
  rewritten: ReadonlyMap<number, Message>,
): { body: Uint8Array; lengths: Uint32Array } {
  const offsets = rowOffsets(header, columns);
  const gap = stride(header.framing);
  const lengths = columns.lengths.slice();
  const parts: Uint8Array[] = [];
  for (let row = 0; row < header.count; row++) {
    const message = rewritten.get(row);
    const from = offsets[row] as number;
    const end = from + (columns.lengths[row] as number);
    const content = message === undefined ? body.subarray(from, end) : contentBytes(message);
    lengths[row] = content.length;
    parts.push(content, body.subarray(end, end + gap));
  }
  return { body: Buffer.concat(parts), lengths };
}

function rewriteSourceIds(
  { header, columns }: OpenBatch,
  rewritten: ReadonlyMap<number, Message>,
): Pick<OpenColumns, "sourceIds" | "sourceIdIndexes"> {
  const known = new Map<string, number>();
  const sourceIdIndexes = Array.from({ length: header.count }, (_, row) => {
    const sourceId = rewritten.get(row)?.sourceId ?? rowSourceId(columns, row);
    const index = known.get(sourceId) ?? known.size;
    known.set(sourceId, index);
    return index;
  });
  return { sourceIds: [...known.keys()], sourceIdIndexes: known.size > 1 ? sourceIdIndexes : [] };
}

function rewriteAttributes(
  { header, columns }: OpenBatch,
  rewritten: ReadonlyMap<number, Message>,
): AttributeColumn[] {
  const rowsOf = new Map<string, Map<number, string>>();
  const put = (name: string, row: number, value: string): void => {
    const rows = rowsOf.get(name) ?? new Map<number, string>();
    rowsOf.set(name, rows.set(row, value));
  };
  for (const { name, rows, values } of columns.attributes) {
    for (const [at, row] of rows.entries()) if (!rewritten.has(row)) put(name, row, values[at] ?? "");
  }
  for (const [row, { attributes }] of rewritten) {
    if (row >= header.count) continue;
    for (const [name, value] of Object.entries(attributes)) put(name, row, value);
  }
  return [...rowsOf].map(([name, rows]) => {
    const sorted = [...rows].sort(([a], [b]) => a - b);
    return { name, rows: sorted.map(([row]) => row), values: sorted.map(([, value]) => value) };
  });
}

function rewriteAnnotations(open: OpenBatch, rewritten: ReadonlyMap<number, Message>): OpenAnnotations {
  const { sentiments } = open.annotations;
  return {
    ...open.annotations,
    findings: rewriteFindings(open, rewritten),
    sentiments: sentiments && rewriteSentiments(sentiments, rewritten),
  };
}

function rewriteFindings(open: OpenBatch, rewritten: ReadonlyMap<number, Message>): OpenFindings {
  const view = messageViews(open);
  const messages = Array.from({ length: open.header.count }, (_, row) => rewritten.get(row) ?? view(row));
  const all = messages.flatMap(({ findings }, row) => findings.map((finding) => ({ ...finding, row })));
  const inBody = all
    .filter(({ place }) => place !== "name")
    .map(({ box, ...finding }) => (box === undefined ? finding : { ...finding, ...packFaceBox(box) }));
  const inNames = all.filter(({ place }) => place === "name");
  const omitted = messages.flatMap(({ findingsOmitted }, row) =>
    findingsOmitted > 0 ? [{ row, count: findingsOmitted }] : [],
  );
  return {
    rows: Uint32Array.from(inBody, ({ row }) => row),
    types: Uint8Array.from(inBody, ({ type }) => findingCode(type)),
    starts: Uint32Array.from(inBody, ({ start }) => start),
    lengths: Uint32Array.from(inBody, ({ length }) => length),
    nameRows: inNames.map(({ row }) => row),
    nameTypes: inNames.map(({ type }) => findingCode(type)),
    omittedRows: omitted.map(({ row }) => row),
    omittedCounts: omitted.map(({ count }) => count),
  };
}

function rewriteSentiments(sentiments: Sentiments, rewritten: ReadonlyMap<number, Message>): Sentiments {
  const of = (row: number) => rewritten.get(row)?.sentiment;
  return {
    ...sentiments,
    scores: sentiments.rows.map((row, at) => of(row)?.score ?? sentiments.scores[at] ?? 0),
    labels: sentiments.rows.map((row, at) => {
      const name = of(row)?.label;
      return labelOf(name) ?? sentiments.labels[at] ?? SentimentLabel.SENTIMENT_LABEL_UNSPECIFIED;
    }),
  };
}

function labelOf(name: string | undefined): SentimentLabel | undefined {
  const [label] = Object.entries(labelNames).find(([, known]) => known === name) ?? [];
  return label === undefined ? undefined : (Number(label) as SentimentLabel);
}

import { batchId, columnBytes, idBytes, limits, noColumn, sourceKey } from "@millrace/envelope";
import { type Batch, Framing, Lane } from "@millrace/proto/batch";
import type { Stream } from "@millrace/proto/stream";
import type { ReplayedRow } from "./replayed-row.js";

/*
 * A message keeps its place: source S of the stream that is read is a source S' of the other one, named after
 * both, and positions stay as they are. So the id, which follows from source and position, is the same
 * whenever it is replayed, and buffer and sinks recognise by the interval what they have.
 *
 * Only rows that touch each other share a batch: what was left out between two of them must not count as
 * sent.
 */
export interface ReplayTarget {
  tenant: string;
  from: Stream;
  into: Stream;
}

export interface ReplayBatch {
  batch: Batch;
  messages: number;
  bytes: number;
}

/** The same for every replay, whatever its rate: a repeat makes the same batches. */
const rowsMax = 100;
const bytesMax = limits.inlineBytesMax;
/** Sources whose batches are open at once; a stream of thousands of small sources closes the oldest early. */
const formingMax = 64;

export async function* replayBatches(
  rows: AsyncIterable<ReplayedRow>,
  target: ReplayTarget,
): AsyncGenerator<ReplayBatch> {
  const forming = new Map<string, ReplayedRow[]>();
  for await (const row of rows) {
    const before = forming.get(row.source) ?? [];
    if (!joins(before, row)) {
      yield close(before, target);
      forming.delete(row.source);
    }
    const joined = forming.get(row.source);
    if (joined === undefined) forming.set(row.source, [row]);
    else joined.push(row);
    const [oldest] = forming.values();
    if (forming.size > formingMax && oldest?.[0] !== undefined) {
      forming.delete(oldest[0].source);
      yield close(oldest, target);
    }
  }
  for (const left of forming.values()) yield close(left, target);
}

function joins(before: readonly ReplayedRow[], row: ReplayedRow): boolean {
  const last = before.at(-1);
  if (last === undefined) return true;
  const bytes = before.reduce((sum, { content }) => sum + content.length, row.content.length);
  return last.position + last.reach === row.position && before.length < rowsMax && bytes <= bytesMax;
}

function close(rows: readonly ReplayedRow[], { tenant, from, into }: ReplayTarget): ReplayBatch {
  const [first, last] = [rows[0], rows.at(-1)];
  const name = `${from.name}/${from.createdMs}/${first?.source ?? ""}`;
  const of = { tenant, stream: into.name };
  const source = sourceKey(of, "replay", `${into.createdMs}/${name}`);
  const positionFrom = first?.position ?? 0;
  const positionTo = (last?.position ?? 0) + (last?.reach ?? 0);
  const body = Buffer.concat(rows.map(({ content }) => content));
  return {
    messages: rows.length,
    bytes: body.length,
    batch: {
      header: {
        ...of,
        id: idBytes(batchId({ ...of, source }, positionFrom, positionTo)),
        lane: Lane.LANE_BATCH,
        partition: "",
        source,
        positionFrom,
        positionTo,
        schemaVersion: 1,
        count: rows.length,
        framing: Framing.FRAMING_PACKED,
        bodyBytes: body.length,
        acceptedUs: 0,
        streamCreatedMs: into.createdMs,
      },
      columns: columnsOf(rows),
      body: { $case: "inline", value: body },
      annotations: undefined,
      passport: [],
    },
  };
}

function columnsOf(rows: readonly ReplayedRow[]): NonNullable<Batch["columns"]> {
  const sourceIds = [...new Set(rows.map(({ sourceId }) => sourceId))];
  const base = rows[0]?.eventTimeMs ?? 0;
  const reaches = Uint32Array.from(rows, ({ reach }) => reach);
  return {
    lengths: columnBytes(Uint32Array.from(rows, ({ content }) => content.length)),
    positionDeltas: columnBytes(reaches.every((reach) => reach === 1) ? noColumn : reaches),
    eventTimeBaseMs: base,
    eventTimeDeltasMs: rows.map(({ eventTimeMs }) => eventTimeMs - base),
    kind: rows[0]?.kind ?? 0,
    kinds: rows.map(({ kind }) => kind),
    sourceIds,
    sourceIdIndexes: rows.map(({ sourceId }) => sourceIds.indexOf(sourceId)),
    ids: new Uint8Array(),
    attributes: attributesOf(rows),
    rowsWithoutEmbedding: [],
    imageRows: [],
    imageWishes: [],
  };
}

function attributesOf(rows: readonly ReplayedRow[]): NonNullable<Batch["columns"]>["attributes"] {
  const names = [...new Set(rows.flatMap(({ attributes }) => attributes.map(([name]) => name)))];
  return names.map((name) => {
    const held = rows.flatMap(({ attributes }, row) => {
      const found = attributes.find(([each]) => each === name);
      return found === undefined ? [] : [{ row, value: found[1] }];
    });
    return { name, rows: held.map(({ row }) => row), values: held.map(({ value }) => value) };
  });
}

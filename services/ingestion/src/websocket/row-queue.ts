import { limits, noAnnotations, type OpenBatch } from "@millrace/envelope";
import { Framing, Kind, Lane } from "@millrace/proto/batch";
import { ProcessingMode, type Stream } from "@millrace/proto/stream";

/** A message as it came. */
export interface Row {
  data: Buffer;
  isText: boolean;
  timeMs: number;
}

/** What goes to buffer as one: rows that follow each other, or one message that is too long to be a row. */
export interface Portion {
  rows: Row[];
  bytes: number;
  isOversize: boolean;
}

/**
 * What was received and is not on its way yet. Its bounds say when the socket must rest: the bytes of one
 * batch, beyond which only what the socket has read already is added.
 */
export interface RowQueue {
  add(row: Row): void;
  /** The oldest portion, which takes no more rows then. */
  take(): Portion | undefined;
  readonly isFull: boolean;
  /** When the first one came of those that it holds. */
  readonly oldestMs: number | undefined;
}

export function createRowQueue(rowsMax: number): RowQueue {
  const countMax = Math.min(rowsMax, limits.batchMessagesMax);
  const portions: Portion[] = [];
  let bytes = 0;
  return {
    add: (row) => {
      const last = portions.at(-1);
      const isOversize = row.data.length > limits.messageBytesMax;
      bytes += row.data.length;
      const joins =
        last !== undefined &&
        !isOversize &&
        !last.isOversize &&
        last.rows.length < countMax &&
        last.bytes + row.data.length <= limits.batchBytesMax;
      if (!joins) portions.push({ rows: [row], bytes: row.data.length, isOversize });
      else {
        last.rows.push(row);
        last.bytes += row.data.length;
      }
    },
    take: () => {
      const portion = portions.shift();
      bytes -= portion?.bytes ?? 0;
      return portion;
    },
    get isFull() {
      return portions.length > 1 || bytes >= limits.batchBytesMax;
    },
    get oldestMs() {
      return portions[0]?.rows[0]?.timeMs;
    },
  };
}

export interface RowOrigin {
  tenant: string;
  stream: Stream;
  /** The key under which positions are counted. */
  key: string;
  /** What the messages are attributed to. */
  sourceId: string;
}

/** Rows from a position on, as a batch for buffer, which fills in id, partition and accept time. */
export function rowBatch(origin: RowOrigin, rows: readonly Row[], positionFrom: number): OpenBatch {
  const { tenant, stream, key, sourceId } = origin;
  const realTime = stream.processingMode === ProcessingMode.PROCESSING_MODE_REAL_TIME;
  const body = Buffer.concat(rows.map(({ data }) => data));
  const kinds = rows.map(({ isText }) => (isText ? Kind.KIND_TEXT : Kind.KIND_DATA));
  const [kind = Kind.KIND_TEXT] = kinds;
  const base = Math.round(rows[0]?.timeMs ?? 0);
  return {
    header: {
      id: new Uint8Array(16),
      tenant,
      stream: stream.name,
      lane: realTime ? Lane.LANE_HIGH : Lane.LANE_BATCH,
      partition: "",
      source: key,
      positionFrom,
      positionTo: positionFrom + rows.length,
      schemaVersion: 1,
      count: rows.length,
      framing: Framing.FRAMING_PACKED,
      bodyBytes: body.length,
      acceptedUs: 0,
      streamCreatedMs: stream.createdMs,
    },
    columns: {
      lengths: Uint32Array.from(rows, ({ data }) => data.length),
      positionDeltas: new Uint32Array(),
      eventTimeBaseMs: base,
      eventTimeDeltasMs: rows.map(({ timeMs }) => Math.round(timeMs) - base),
      kind,
      kinds: kinds.every((each) => each === kind) ? [] : kinds,
      sourceIds: [sourceId],
      sourceIdIndexes: [],
      ids: new Uint8Array(),
      attributes: [],
      rowsWithoutEmbedding: [],
      imageRows: [],
      imageWishes: [],
    },
    body,
    annotations: noAnnotations,
    passport: [],
  };
}

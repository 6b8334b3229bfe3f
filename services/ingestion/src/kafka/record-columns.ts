import { isUtf8 } from "node:buffer";
import { deriveId, limits, noAnnotations, type OpenBatch } from "@millrace/envelope";
import type { KafkaRecords } from "@millrace/kafka";
import { type AttributeColumn, Framing, Kind, Lane } from "@millrace/proto/batch";
import { ProcessingMode, StorageFormat, type Stream } from "@millrace/proto/stream";

/** What records of a partition belong to. */
export interface RecordOrigin {
  tenant: string;
  stream: Stream;
  /** What all messages are attributed to; empty: each to its key, and those without one to the topic. */
  sourceId: string;
  topic: string;
  /** The partition's, as buffer knows it. */
  key: string;
}

/** Bytes kept of a message that is refused. */
const keptBytesMax = 64 * 1024;
/** All attributes of a message: a quarter of what the columns of a batch may have. */
const attributeBytesMax = limits.columnsBytesMax / 4;
/** Lengths, deltas and flags of a row, roughly. */
const rowBytes = 48;

/**
 * Rows that follow each other in a partition, put into columns as they come:
 *
 *   record   key ─► source id   headers ─► attributes   time   value ─► body (copied once)
 */
export class RecordColumns {
  readonly #origin: RecordOrigin;
  readonly #parts: Buffer[] = [];
  readonly #lengths: number[] = [];
  readonly #positions: number[] = [];
  readonly #times: number[] = [];
  readonly #sourceIds = new Map<string, number>();
  readonly #sourceIdIndexes: number[] = [];
  readonly #attributes = new Map<string, AttributeColumn>();
  bodyBytes = 0;
  columnBytes = 0;

  constructor(origin: RecordOrigin) {
    this.#origin = origin;
  }

  get count(): number {
    return this.#lengths.length;
  }

  /** A record that nothing speaks against. */
  add(records: KafkaRecords, row: number, attributes: ReadonlyMap<string, string>): void {
    const value = records.value(row) ?? empty;
    this.#place(records, row, value);
    const at = this.count - 1;
    for (const [name, text] of attributes) {
      let column = this.#attributes.get(name);
      if (column === undefined) {
        column = { name, rows: [], values: [] };
        this.#attributes.set(name, column);
      }
      column.rows.push(at);
      column.values.push(text);
      this.columnBytes += name.length + text.length + 8;
    }
  }

  /** One that can't be a message: what is kept of it. Returns the bytes that are not. */
  addRefused(records: KafkaRecords, row: number): number {
    const value = records.value(row) ?? empty;
    this.#place(records, row, value.subarray(0, keptBytesMax));
    return Math.max(0, value.length - keptBytesMax);
  }

  /** The batch up to a position: the last row reaches to there, over offsets that hold no record. */
  toBatch(positionTo: number): OpenBatch {
    const { tenant, stream, key } = this.#origin;
    const body = Buffer.concat(this.#parts, this.bodyBytes);
    const [positionFrom = positionTo] = this.#positions;
    const [firstTime = 0] = this.#times;
    const deltas = this.#times.map((time) => time - firstTime);
    return {
      header: {
        id: new Uint8Array(16),
        tenant,
        stream: stream.name,
        lane: laneOf(stream),
        partition: "",
        source: key,
        positionFrom,
        positionTo,
        schemaVersion: 1,
        count: this.count,
        framing: Framing.FRAMING_PACKED,
        bodyBytes: body.length,
        acceptedUs: 0,
        streamCreatedMs: stream.createdMs,
      },
      columns: {
        lengths: Uint32Array.from(this.#lengths),
        positionDeltas: Uint32Array.from(
          this.#positions,
          (position, row) => (this.#positions[row + 1] ?? positionTo) - position,
        ),
        eventTimeBaseMs: firstTime,
        eventTimeDeltasMs: deltas.every((delta) => delta === 0) ? [] : deltas,
        ...this.#kindsOf(body),
        sourceIds: [...this.#sourceIds.keys()],
        sourceIdIndexes: this.#sourceIds.size === 1 ? [] : this.#sourceIdIndexes,
        ids: new Uint8Array(),
        attributes: [...this.#attributes.values()],
        rowsWithoutEmbedding: [],
        imageRows: [],
        imageWishes: [],
      },
      body,
      annotations: noAnnotations,
      passport: [],
    };
  }

  #place(records: KafkaRecords, row: number, value: Buffer): void {
    const sourceId = this.#origin.sourceId || sourceIdOf(records.key(row), this.#origin);
    let index = this.#sourceIds.get(sourceId);
    if (index === undefined) {
      index = this.#sourceIds.size;
      this.#sourceIds.set(sourceId, index);
      this.columnBytes += Buffer.byteLength(sourceId);
    }
    this.#sourceIdIndexes.push(index);
    this.#parts.push(value);
    this.#lengths.push(value.length);
    this.#positions.push(records.offset(row));
    this.#times.push(Math.max(0, records.timestampMs(row)));
    this.bodyBytes += value.length;
    this.columnBytes += rowBytes;
  }

  /** Texts, unless bytes among them are none. */
  #kindsOf(body: Buffer): { kind: Kind; kinds: Kind[] } {
    if (isUtf8(body)) return { kind: Kind.KIND_TEXT, kinds: [] };
    const kinds = this.#parts.map((part) => (isUtf8(part) ? Kind.KIND_TEXT : Kind.KIND_DATA));
    const [first = Kind.KIND_DATA] = kinds;
    return { kind: first, kinds: kinds.every((kind) => kind === first) ? [] : kinds };
  }
}

const empty = Buffer.alloc(0);

function laneOf({ processingMode }: Stream): Lane {
  return processingMode === ProcessingMode.PROCESSING_MODE_REAL_TIME ? Lane.LANE_HIGH : Lane.LANE_BATCH;
}

/**
 * A key that can't be a source id is one by its hash: as text of another form, personal data in it would pass
 * the filter unseen.
 */
function sourceIdOf(key: Buffer | null, { topic, tenant }: RecordOrigin): string {
  if (key === null || key.length === 0) return topic;
  const text = key.length <= 4 * limits.sourceIdCharsMax && isUtf8(key) ? key.toString() : "";
  const isFit = text !== "" && text.length <= limits.sourceIdCharsMax && !/[\0-\x1f\x7f]/.test(text);
  return isFit ? text : deriveId("kafka-key", tenant, key.toString("hex"));
}

/** What speaks against a record, as a fixed sentence; undefined: nothing. */
export function refusalOf(
  records: KafkaRecords,
  row: number,
  { stream }: Pick<RecordOrigin, "stream">,
): string | undefined {
  const value = records.value(row);
  if (value === null) return "tombstone: a Kafka record without a value";
  if (value.length > limits.messageBytesMax) return "Kafka record above the size limit of a message";
  const isLines = stream.outputs?.storage?.format === StorageFormat.STORAGE_FORMAT_LINES;
  if (isLines && value.includes(0x0a)) {
    return "Kafka record with a line feed, which the stream's storage as lines cannot keep";
  }
  return undefined;
}

const noAttributes: ReadonlyMap<string, string> = new Map();

/**
 * Headers that are texts; of those with one name the last. Undefined: more than a message may have. What is
 * no text is left out: privacy could not look into it.
 */
export function attributesOf(records: KafkaRecords, row: number): ReadonlyMap<string, string> | undefined {
  let attributes: Map<string, string> | undefined;
  let isFit = true;
  let bytes = 0;
  records.eachHeader(row, (name, value) => {
    if (name === "" || value === null || !isUtf8(value)) return;
    attributes ??= new Map();
    attributes.set(name, value.toString());
    bytes += name.length + value.length + 8;
    if (name.length > limits.attributeNameCharsMax || value.length > limits.attributeValueBytesMax) {
      isFit = false;
    }
  });
  if (attributes === undefined) return noAttributes;
  if (!isFit || bytes > attributeBytesMax || attributes.size > limits.attributesMax) return undefined;
  return attributes;
}

import { limits } from "@millrace/envelope";
import type { KafkaRecords } from "@millrace/kafka";
import type { OpenBatch } from "@millrace/envelope";
import { attributesOf, RecordColumns, type RecordOrigin, refusalOf } from "./record-columns.js";

/** What goes to buffer next: messages, or records that can't be any. */
export interface Cut {
  batch: OpenBatch;
  /** Why they are refused; undefined: they are messages. */
  refusal: string | undefined;
  truncatedBytes: number;
  /** Of the records: what is free again once they are settled. */
  bytes: number;
}

export interface CutLimits {
  rowsMax: number;
  bodyBytesMax: number;
}

/** About what a record holds beside its value. */
const recordBytes = 128;
const tooMany = "Kafka record with more or longer headers than a message may have attributes";

/** Records of one partition that are not sent yet, in the driver's own form. */
export class RecordQueue {
  readonly #origin: RecordOrigin;
  readonly #limits: CutLimits;
  readonly #held: KafkaRecords[] = [];
  /** Into the first of them. */
  #row = 0;

  constructor(origin: RecordOrigin, cutLimits: CutLimits) {
    this.#origin = origin;
    this.#limits = cutLimits;
  }

  /** Returns the bytes that are held now in addition. */
  add(records: KafkaRecords): number {
    if (records.count === 0) return 0;
    this.#held.push(records);
    let bytes = 0;
    for (let row = 0; row < records.count; row++) bytes += bytesOf(records, row);
    return bytes;
  }

  isEmpty(): boolean {
    return this.#held.length === 0;
  }

  /** As many of the next records as fit one batch and have one fate; none from both sides of a position. */
  cut(apartAt: number): Cut {
    const columns = new RecordColumns(this.#origin);
    let refusal: string | undefined;
    let truncatedBytes = 0;
    let bytes = 0;
    let positionTo = 0;
    for (let next = this.#next(); next !== undefined; next = this.#next()) {
      const { records, row } = next;
      const attributes = attributesOf(records, row);
      const why = refusalOf(records, row, this.#origin) ?? (attributes === undefined ? tooMany : undefined);
      const isFirst = columns.count === 0;
      if (!isFirst && positionTo === apartAt) break;
      if (!isFirst && (why !== refusal || !this.#fits(columns, records, row))) break;
      refusal = why;
      if (why === undefined && attributes !== undefined) columns.add(records, row, attributes);
      else truncatedBytes += columns.addRefused(records, row);
      bytes += bytesOf(records, row);
      positionTo = row + 1 < records.count ? records.offset(row + 1) : records.nextOffset;
      this.#row++;
    }
    return { batch: columns.toBatch(positionTo), refusal, truncatedBytes, bytes };
  }

  #next(): { records: KafkaRecords; row: number } | undefined {
    let [records] = this.#held;
    while (records !== undefined && this.#row >= records.count) {
      this.#held.shift();
      this.#row = 0;
      [records] = this.#held;
    }
    return records === undefined ? undefined : { records, row: this.#row };
  }

  #fits(columns: RecordColumns, records: KafkaRecords, row: number): boolean {
    const { rowsMax, bodyBytesMax } = this.#limits;
    const length = records.value(row)?.length ?? 0;
    return (
      columns.count < rowsMax &&
      columns.bodyBytes + length <= bodyBytesMax &&
      // Half of what is allowed: a row's share of the columns is an estimate, and the next may be a quarter.
      columns.columnBytes <= limits.columnsBytesMax / 2
    );
  }
}

function bytesOf(records: KafkaRecords, row: number): number {
  return (records.value(row)?.length ?? 0) + (records.key(row)?.length ?? 0) + recordBytes;
}

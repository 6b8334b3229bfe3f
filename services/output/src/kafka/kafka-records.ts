import {
  findingName,
  messageId,
  type OpenBatch,
  rowEventTimeMs,
  rowOffsets,
  rowPositions,
  rowSourceId,
} from "@millrace/envelope";
import type { KafkaMessage } from "@millrace/kafka";
import { KafkaValue } from "@millrace/proto/stream";
import { encodeRecords } from "../storage/encode-records.js";
import { keyedIds } from "../storage/choose-rows.js";

/** Header names of ours; attributes keep theirs. */
const idHeader = "millrace-id";
const positionHeader = "millrace-position";

/**
 * The records of a batch, row by row. The body is copied first: the driver reads it later, when the range
 * that it lies in may be somebody else's.
 */
export function kafkaRecords(open: OpenBatch, value: KafkaValue): KafkaMessage[] {
  const { header, columns } = open;
  const positions = rowPositions(header, columns);
  const ids = keyedIds(open);
  const attributes = attributeHeaders(open);
  const keys = columns.sourceIds.map((sourceId) => Buffer.from(sourceId));
  const values = value === KafkaValue.KAFKA_VALUE_RECORD ? recordLines(open) : contents(open);
  return values.map((bytes, row): KafkaMessage => {
    const position = positions[row] as number;
    const timestampMs = rowEventTimeMs(columns, row);
    return {
      key: rowSourceId(columns, row) === "" ? undefined : keys[columns.sourceIdIndexes[row] ?? 0],
      value: bytes,
      headers: {
        ...attributes.get(row),
        [idHeader]: Buffer.from(ids.get(row) ?? messageId(header, position)),
        [positionHeader]: Buffer.from(`${header.source} ${position}`),
      },
      ...(timestampMs > 0 && { timestampMs }),
    };
  });
}

function contents({ header, columns, body }: OpenBatch): Buffer[] {
  const copy = Buffer.from(body);
  const offsets = rowOffsets(header, columns);
  return Array.from({ length: header.count }, (_, row) => {
    const at = offsets[row] as number;
    return copy.subarray(at, at + (columns.lengths[row] as number));
  });
}

function recordLines(open: OpenBatch): Buffer[] {
  const { bytes } = encodeRecords(open, [{ from: 0, to: open.header.count }], findingName);
  const all = Buffer.concat(bytes);
  const lines: Buffer[] = [];
  for (let from = 0; from < all.length; ) {
    const to = all.indexOf(0x0a, from);
    lines.push(all.subarray(from, to));
    from = to + 1;
  }
  return lines;
}

function attributeHeaders({ columns }: OpenBatch): Map<number, Record<string, Buffer>> {
  const byRow = new Map<number, Record<string, Buffer>>();
  for (const { name, rows, values } of columns.attributes)
    for (const [at, row] of rows.entries()) {
      const headers = byRow.get(row) ?? {};
      headers[name] = Buffer.from(values[at] ?? "");
      byRow.set(row, headers);
    }
  return byRow;
}

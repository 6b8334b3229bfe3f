import { assert } from "@millrace/errors";
import type { Consumer, KafkaRecord } from "@platformatic/kafka";
import type { KafkaRecords } from "../consumer.js";

type Answer = Awaited<ReturnType<Consumer["fetch"]>>;
/** What a broker answers of one partition. */
export type PartitionAnswer = Answer["responses"][number]["partitions"][number];
type RecordBatches = NonNullable<PartitionAnswer["records"]>;

/** Markers of transactions, which are not for readers. */
const isControl = 1 << 5;

/** The records from an offset on: a broker answers with whole batches, and the first may begin before it. */
export function viewOf(
  batches: RecordBatches,
  { from, ...of }: { epoch: number; partition: number; from: number; high: number },
): KafkaRecords {
  const records: KafkaRecord[] = [];
  const offsets: number[] = [];
  const times: number[] = [];
  let nextOffset = from;
  for (const batch of batches) {
    const firstOffset = Number(batch.firstOffset);
    const firstTime = Number(batch.firstTimestamp);
    nextOffset = Math.max(nextOffset, firstOffset + batch.lastOffsetDelta + 1);
    if ((batch.attributes & isControl) !== 0) continue;
    for (const record of batch.records) {
      const offset = firstOffset + record.offsetDelta;
      if (offset < from) continue;
      records.push(record);
      offsets.push(offset);
      times.push(firstTime + Number(record.timestampDelta));
    }
  }
  const at = (row: number): KafkaRecord => {
    const record = records[row];
    assert(record !== undefined, "a row of the batch");
    return record;
  };
  return {
    ...of,
    count: records.length,
    nextOffset,
    offset: (row) => offsets[row] ?? 0,
    timestampMs: (row) => times[row] ?? 0,
    key: (row) => at(row).key,
    value: (row) => at(row).value,
    eachHeader: (row, visit) => {
      for (const [name, value] of at(row).headers) visit(name?.toString() ?? "", value);
    },
  };
}

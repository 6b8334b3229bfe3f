import { eventually } from "@millrace/runtime/testing";
import { systemClock } from "@millrace/runtime";
import type { KafkaAssignment, KafkaConsumer, KafkaConsumerOptions } from "../consumer.js";
import type { KafkaDriver } from "../drivers.js";

export interface ReadRecord {
  partition: number;
  offset: number;
  key: string | null;
  value: string | null;
  headers: [name: string, value: string | null][];
  timestampMs: number;
}

/** A consumer that keeps all it is handed. */
export interface TopicReader {
  readonly consumer: KafkaConsumer;
  readonly records: ReadRecord[];
  readonly assignments: KafkaAssignment[];
  readonly revoked: number[];
  readonly ended: Error[];
  /** Waits for so many records. */
  until(count: number): Promise<ReadRecord[]>;
}

export type ReaderOptions = Pick<KafkaConsumerOptions, "connection" | "topic" | "group"> &
  Partial<KafkaConsumerOptions> & {
    /** Where a partition begins. Default: where the group was, else at its first record. */
    from?(partition: KafkaAssignment["partitions"][number]): number;
  };

export async function readTopic(driver: KafkaDriver, options: ReaderOptions): Promise<TopicReader> {
  const records: ReadRecord[] = [];
  const assignments: KafkaAssignment[] = [];
  const revoked: number[] = [];
  const ended: Error[] = [];
  const from = options.from ?? (({ committed, low }) => committed ?? low);
  const consumer = driver.createConsumer({
    sessionTimeoutMs: 6_000,
    clock: systemClock,
    onAssigned: (assignment) => {
      assignments.push(assignment);
      for (const one of assignment.partitions) consumer.begin(assignment.epoch, one.partition, from(one));
    },
    onRevoked: async ({ epoch }) => void revoked.push(epoch),
    onEnded: (error) => void ended.push(error),
    onRecords: (batch) => {
      for (let row = 0; row < batch.count; row++) {
        const headers: ReadRecord["headers"] = [];
        batch.eachHeader(row, (name, value) => headers.push([name, value?.toString() ?? null]));
        records.push({
          partition: batch.partition,
          offset: batch.offset(row),
          key: batch.key(row)?.toString() ?? null,
          value: batch.value(row)?.toString() ?? null,
          headers,
          timestampMs: batch.timestampMs(row),
        });
      }
    },
    ...options,
  });
  await consumer.start();
  return {
    consumer,
    records,
    assignments,
    revoked,
    ended,
    until: async (count) => {
      await eventually(() => records.length >= count || ended.length > 0, {
        what: `${count} records are read`,
        deadlineMs: 30_000,
      });
      // It reads no more.
      if (records.length < count) throw ended[0];
      return records;
    },
  };
}

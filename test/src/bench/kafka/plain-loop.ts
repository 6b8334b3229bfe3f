import {
  defaultConsumerDriver,
  defaultProducerDriver,
  type KafkaConnection,
  kafkaDrivers,
  type KafkaRecords,
} from "@millrace/kafka";
import { systemClock } from "@millrace/runtime";
import { redactPlainly } from "../pipeline/plain-loop.js";

export interface PlainLoop {
  connection: KafkaConnection;
  from: string;
  to: string;
  group: string;
  signal: AbortSignal;
}

/** Record sets that wait at most: what the consumer hands out while one is sent. */
const waitingMax = 4;
/** Brokers take 1 MiB a request by default. */
const sendBytesMax = 512 * 1024;

/**
 * The job as one would write it: consume, replace, produce with acks=all, commit; the same two drivers. Ends
 * when its signal is aborted.
 */
export async function runPlainLoop({ connection, from, to, group, signal }: PlainLoop): Promise<void> {
  const producer = kafkaDrivers[defaultProducerDriver].createProducer({ connection });
  await producer.start();
  const waiting: KafkaRecords[] = [];
  let wake: () => void = () => undefined;
  signal.addEventListener("abort", () => wake(), { once: true });
  const consumer = kafkaDrivers[defaultConsumerDriver].createConsumer({
    connection,
    topic: from, // of Kafka
    group,
    clock: systemClock,
    onAssigned: ({ epoch, partitions }) => {
      for (const { partition, committed, low } of partitions)
        consumer.begin(epoch, partition, committed ?? low);
    },
    onRevoked: async () => undefined,
    onRecords: (records) => {
      waiting.push(records);
      if (waiting.length >= waitingMax) consumer.pause();
      wake();
    },
    onEnded: (error) => {
      throw error;
    },
  });
  await consumer.start();
  while (!signal.aborted) {
    const records = waiting.shift();
    if (records === undefined) {
      await new Promise<void>((resolve) => (wake = resolve));
      continue;
    }
    await sendAll(records, (messages) => producer.send(to, messages));
    await consumer.commit(records.epoch, new Map([[records.partition, records.nextOffset]]));
    if (waiting.length < waitingMax) consumer.resume();
  }
  await consumer.close();
  await producer.close();
}

interface Outgoing {
  key: Buffer | undefined;
  value: Buffer;
}

async function sendAll(records: KafkaRecords, send: (messages: Outgoing[]) => Promise<void>): Promise<void> {
  const sending: Promise<void>[] = [];
  let messages: Outgoing[] = [];
  let bytes = 0;
  for (let row = 0; row < records.count; row++) {
    const value = Buffer.from(redactPlainly((records.value(row) ?? Buffer.alloc(0)).toString("utf8")));
    messages.push({ key: records.key(row) ?? undefined, value });
    bytes += value.length;
    if (bytes < sendBytesMax && row < records.count - 1) continue;
    sending.push(send(messages));
    messages = [];
    bytes = 0;
  }
  await Promise.all(sending);
}

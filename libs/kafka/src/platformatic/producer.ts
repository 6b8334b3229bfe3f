import { type MessageToProduce, ProduceAcks } from "@platformatic/kafka";
import { kafkaError } from "../kafka-error.js";
import type { KafkaMessage, KafkaProducer, KafkaProducerOptions } from "../producer.js";
import { baseOptions } from "./connection.js";
import { PartitionProducer } from "./partition-producer.js";

export function createPlatformaticProducer(options: KafkaProducerOptions): KafkaProducer {
  const { connection, compression = "none" } = options;
  const producer = new PartitionProducer({
    ...baseOptions(connection),
    // Its numbers of idempotence are given twice where sends overlap, and again after one that failed:
    // brokers then answer well and drop messages.
    idempotent: false,
    acks: ProduceAcks.ALL,
    compression,
  });
  return {
    start: async () => {
      try {
        await producer.metadata({ topics: [] });
      } catch (caught) {
        await producer.close().catch(() => undefined);
        throw kafkaError(caught, "kafka: connect");
      }
    },
    send: async (topic, messages) => {
      try {
        await producer.send({ messages: messages.map((message) => messageOf(topic, message)) });
      } catch (caught) {
        throw kafkaError(caught, "kafka: send");
      }
    },
    close: () => producer.close(),
  };
}

type Message = MessageToProduce<Buffer, Buffer, Buffer, Buffer>;

function messageOf(topic: string, { key, value, headers, partition, timestampMs }: KafkaMessage): Message {
  const message: Message = { topic };
  // The client's types know no tombstone; on the wire null is one.
  (message as { value: Buffer | null }).value = value;
  if (key !== undefined) message.key = key;
  if (headers !== undefined) {
    message.headers = new Map(Object.entries(headers).map(([name, bytes]) => [Buffer.from(name), bytes]));
  }
  if (partition !== undefined) message.partition = partition;
  if (timestampMs !== undefined) message.timestamp = BigInt(Math.round(timestampMs));
  return message;
}

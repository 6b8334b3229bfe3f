import { CompressionTypes, type Message, Partitioners, type Producer } from "kafkajs";
import { kafkaError } from "../kafka-error.js";
import type { Compression } from "../connection.js";
import type { KafkaMessage, KafkaProducer, KafkaProducerOptions } from "../producer.js";
import { createClient } from "./client.js";

const types: Readonly<Record<Compression, CompressionTypes>> = {
  none: CompressionTypes.None,
  gzip: CompressionTypes.GZIP,
  snappy: CompressionTypes.Snappy,
  lz4: CompressionTypes.LZ4,
  zstd: CompressionTypes.ZSTD,
};

const acksOfAll = -1;

export function createKafkajsProducer(options: KafkaProducerOptions): KafkaProducer {
  const { connection, compression = "none" } = options;
  const producer: Producer = createClient(connection).producer({
    allowAutoTopicCreation: false,
    createPartitioner: Partitioners.DefaultPartitioner,
    // After a send that was given up the next one would get its number, and brokers would drop it unseen.
    idempotent: false,
    retry: { retries: 3 },
  });
  return {
    start: () =>
      producer.connect().catch((caught: unknown) => {
        throw kafkaError(caught, "kafka: connect");
      }),
    send: async (topic, messages) => {
      try {
        await producer.send({
          topic,
          acks: acksOfAll,
          compression: types[compression],
          messages: messages.map(messageOf),
        });
      } catch (caught) {
        throw kafkaError(caught, "kafka: send");
      }
    },
    close: () => producer.disconnect(),
  };
}

function messageOf({ key, value, headers, partition, timestampMs }: KafkaMessage): Message {
  const message: Message = { value };
  if (key !== undefined) message.key = key;
  if (headers !== undefined) message.headers = headers;
  if (partition !== undefined) message.partition = partition;
  if (timestampMs !== undefined) message.timestamp = String(timestampMs);
  return message;
}

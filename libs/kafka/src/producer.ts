import type { Compression, KafkaConnection } from "./connection.js";

/** Sends to topics. What was answered is on all replicas that are in sync (`acks=all`). */
export interface KafkaProducer {
  /** Connects. Rejects where the brokers are away or refuse us. */
  start(): Promise<void>;
  /**
   * Resolves when all are acknowledged. Errors: `not_found`, `invalid_argument` above the topic's size limit,
   * `permission_denied`, `unavailable`; what was sent then may be stored or not. It may also be stored twice:
   * where an answer was lost, and by `kafkajs` where one of several partitions was refused at first. See
   * docs/adr/0038-kafka.md.
   */
  send(topic: string, messages: readonly KafkaMessage[]): Promise<void>;
  close(): Promise<void>;
}

export interface KafkaMessage {
  /** Messages with the same one go to the same partition. Absent: partitions in turn. */
  key?: Buffer | undefined;
  /** Null is a tombstone. */
  value: Buffer | null;
  headers?: Readonly<Record<string, Buffer>> | undefined;
  partition?: number | undefined;
  timestampMs?: number | undefined;
}

export interface KafkaProducerOptions {
  connection: KafkaConnection;
  /** Default none. */
  compression?: Compression;
}

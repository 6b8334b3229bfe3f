import type { MakeTryBatch } from "@millrace/messaging";
import { KafkaValue } from "@millrace/proto/stream";
import { kafkaRecords } from "../kafka/kafka-records.js";

/** For trials: the records of a batch, sent nowhere. */
export const tryBatch: MakeTryBatch = async () => async (open, stream) =>
  kafkaRecords(open, stream.outputs?.kafka?.value ?? KafkaValue.KAFKA_VALUE_CONTENT);

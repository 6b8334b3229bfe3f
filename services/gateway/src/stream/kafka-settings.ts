import { CodedError } from "@millrace/errors";
import { compressions, isTopicName } from "@millrace/kafka/connection";
import { type KafkaOutput, KafkaValue } from "@millrace/proto/stream";
import { completeNamed } from "../kafka/connection-settings.js";

/** A stream's Kafka output with its defaults filled in. Errors: `invalid_argument` with the field. */
export function completeKafka(given: KafkaOutput): KafkaOutput {
  const field = "stream.outputs.kafka";
  if (!isTopicName(given.topic)) {
    const remedy = "Name a topic of 1 to 249 letters, digits, dots, underscores and hyphens.";
    throw invalid(`${field}.topic`, "is no name of a topic", remedy);
  }
  const value =
    given.value === KafkaValue.KAFKA_VALUE_UNSPECIFIED ? KafkaValue.KAFKA_VALUE_CONTENT : given.value;
  if (value !== KafkaValue.KAFKA_VALUE_CONTENT && value !== KafkaValue.KAFKA_VALUE_RECORD)
    throw invalid(`${field}.value`, "is not known", "Use KAFKA_VALUE_CONTENT or KAFKA_VALUE_RECORD.");
  const compression = given.compression === "" ? "none" : given.compression;
  if (!(compressions as readonly string[]).includes(compression))
    throw invalid(`${field}.compression`, "is not known", `Use ${compressions.join(", ")}.`);
  const connection = completeNamed(given.connection, { at: `${field}.connection`, invalid });
  return { connection, topic: given.topic, value, compression };
}

function invalid(field: string, problem: string, remedy: string): CodedError {
  return new CodedError("invalid_argument", `check stream settings: ${field} ${problem}`, { field, remedy });
}

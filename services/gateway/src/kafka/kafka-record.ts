import type { CodedError } from "@millrace/errors";
import { isTopicName } from "@millrace/kafka/connection";
import type { KafkaRecord } from "@millrace/proto/trigger";
import { completeNamed } from "./connection-settings.js";

/** Where a trigger's records go, completed. Errors: those of `invalid`. */
export function completeRecord(
  { connection, topic }: KafkaRecord,
  of: { at: string; invalid(field: string, problem: string, remedy: string): CodedError },
): KafkaRecord {
  if (!isTopicName(topic)) {
    const remedy = "Name a topic of 1 to 249 letters, digits, dots, underscores and hyphens.";
    throw of.invalid(`${of.at}.topic`, "is no name of a topic", remedy);
  }
  return { connection: completeNamed(connection, { ...of, at: `${of.at}.connection` }), topic };
}

import { limits } from "@millrace/envelope";
import { driverNames, isTopicName } from "@millrace/kafka/connection";
import { shownValue } from "@millrace/proto";
import { KafkaCommit, type KafkaSource, KafkaStart, type Value } from "@millrace/proto/source";
import { completeConnection } from "../kafka/connection-settings.js";
import { type CompletedKind, invalid } from "./completed-kind.js";

const nameCharsMax = 249;
const groupCharsMax = 256;

export function completeKafkaSource(given: KafkaSource): CompletedKind {
  const place = { at: "source.kafka", suffix: "", owner: "ingestion", invalid } as const;
  const { bootstrapServers, mechanism } = completeConnection(given, place);
  checkTopic(given.topic);
  if (given.consumerGroup.length > groupCharsMax || !/^[^\s\0-\x1f\x7f]+$/.test(given.consumerGroup)) {
    const remedy = `Name one with 1 to ${groupCharsMax} characters, none of them a blank.`;
    throw invalid("source.kafka.consumer_group", "names no consumer group", remedy);
  }
  if (given.sourceId.length > limits.sourceIdCharsMax || /[\0-\x1f\x7f]/.test(given.sourceId)) {
    const remedy = `Use at most ${limits.sourceIdCharsMax} characters and no control characters.`;
    throw invalid("source.kafka.source_id", "cannot name a source", remedy);
  }
  if (given.driver !== "" && !driverNames.some((name) => name === given.driver)) {
    throw invalid("source.kafka.driver", "is not known", `Use ${driverNames.join(" or ")}, or leave it out.`);
  }
  const start = given.start || KafkaStart.KAFKA_START_EARLIEST;
  if (start !== KafkaStart.KAFKA_START_EARLIEST && start !== KafkaStart.KAFKA_START_LATEST) {
    throw invalid("source.kafka.start", "is not known", "Use KAFKA_START_EARLIEST or KAFKA_START_LATEST.");
  }
  const commit = given.commit || KafkaCommit.KAFKA_COMMIT_DURABLE;
  if (commit !== KafkaCommit.KAFKA_COMMIT_DURABLE && commit !== KafkaCommit.KAFKA_COMMIT_OUT) {
    throw invalid("source.kafka.commit", "is not known", "Use KAFKA_COMMIT_DURABLE or KAFKA_COMMIT_OUT.");
  }
  const sasl = given.sasl && { ...given.sasl, mechanism };
  const value: KafkaSource = { ...given, bootstrapServers, start, commit, sasl };
  return { kind: { $case: "kafka", value }, identity: identityOf(value) };
}

/** What others may see of it: no inline value, which may be a credential. */
export function shownKafkaSource(source: KafkaSource): KafkaSource {
  const { tls, sasl } = source;
  const shown = (value: Value | undefined) => (value === undefined ? undefined : shownValue(value));
  return {
    ...source,
    tls: tls && { ca: shown(tls.ca), cert: shown(tls.cert), key: shown(tls.key) },
    sasl: sasl && { ...sasl, username: shown(sasl.username), password: shown(sasl.password) },
  };
}

/**
 * Credentials are no part of it: the same source with another password is the same source, and goes on with
 * that. Ids are shown, and a short password could be found by trying.
 */
function identityOf({ bootstrapServers, topic, consumerGroup, ...rest }: KafkaSource): string[] {
  const { start, commit, driver, sourceId, tls, sasl } = rest;
  const isTls = tls !== undefined;
  const mechanism = sasl?.mechanism ?? "";
  const parts = { topic, consumerGroup, start, commit, driver, sourceId, isTls, mechanism };
  return [JSON.stringify({ ...parts, servers: bootstrapServers.toSorted() })];
}

function checkTopic(topic: string): void {
  if (isTopicName(topic)) return;
  const remedy = `Use 1 to ${nameCharsMax} letters, digits, dots, underscores and hyphens.`;
  throw invalid("source.kafka.topic", "is no topic's name", remedy);
}

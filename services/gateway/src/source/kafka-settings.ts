import { limits } from "@millrace/envelope";
import { CodedError } from "@millrace/errors";
import { driverNames, isTopicName, parseBootstrapServers, saslMechanisms } from "@millrace/kafka/connection";
import { hiddenText, secretName, shownValue } from "@millrace/proto";
import {
  KafkaCommit,
  type KafkaSasl,
  type KafkaSource,
  KafkaStart,
  type KafkaTls,
  type Value,
} from "@millrace/proto/source";
import { type CompletedKind, invalid } from "./completed-kind.js";

const serversMax = 32;
const nameCharsMax = 249;
const groupCharsMax = 256;
const pemBytesMax = 64 * 1024;

export function completeKafkaSource(given: KafkaSource): CompletedKind {
  const bootstrapServers = checkServers(given.bootstrapServers);
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
  if (given.tls !== undefined) checkTls(given.tls);
  const sasl = given.sasl === undefined ? undefined : checkSasl(given.sasl);
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

function checkServers(given: readonly string[]): string[] {
  const field = "source.kafka.bootstrap_servers";
  const servers = parseBootstrapServers(given.join(","), field);
  if (servers.length > serversMax) {
    throw invalid(field, `has ${servers.length} entries`, `Name at most ${serversMax} brokers.`);
  }
  return servers;
}

function checkTopic(topic: string): void {
  if (isTopicName(topic)) return;
  const remedy = `Use 1 to ${nameCharsMax} letters, digits, dots, underscores and hyphens.`;
  throw invalid("source.kafka.topic", "is no topic's name", remedy);
}

function checkTls(tls: KafkaTls): void {
  const field = "source.kafka.tls";
  for (const name of ["ca", "cert", "key"] as const) {
    const value = tls[name];
    if (value === undefined) continue;
    checkValue(value, `${field}.${name}`, pemBytesMax);
    if (value.kind?.$case === "text" && !value.kind.value.includes("-----BEGIN ")) {
      throw invalid(
        `${field}.${name}`,
        "is not in PEM",
        "Give the text of the PEM file, or a secret's name.",
      );
    }
  }
  if ((tls.cert === undefined) !== (tls.key === undefined)) {
    throw invalid(field, "has a certificate or a key without the other", "Give both, or neither.");
  }
}

function checkSasl(sasl: KafkaSasl): KafkaSasl {
  const field = "source.kafka.sasl";
  const mechanism = sasl.mechanism.toLowerCase();
  if (!saslMechanisms.some((name) => name === mechanism)) {
    throw invalid(`${field}.mechanism`, "is not known", `Use one of ${saslMechanisms.join(", ")}.`);
  }
  checkValue(sasl.username, `${field}.username`, limits.sourceIdCharsMax * 4);
  checkValue(sasl.password, `${field}.password`, pemBytesMax);
  return { ...sasl, mechanism };
}

function checkValue(value: Value | undefined, field: string, bytesMax: number): void {
  const kind = value?.kind;
  if (kind === undefined || kind.value === "") {
    throw new CodedError("invalid_argument", `check source: ${field} is missing`, {
      field,
      remedy: "Give a text, or the name of a secret.",
    });
  }
  if (kind.$case === "secret") {
    if (secretName.test(kind.value)) return;
    throw invalid(field, "names no secret", "Name a file in ingestion's directory of secrets.");
  }
  // What an answer showed was sent back.
  if (kind.value === hiddenText) throw invalid(field, "is not the value", "Give the value itself.");
  if (kind.value.includes("\0") || Buffer.byteLength(kind.value) > bytesMax) {
    throw invalid(field, "is too long or has a NUL", `Use at most ${bytesMax} bytes.`);
  }
}

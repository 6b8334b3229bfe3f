import { CodedError } from "@millrace/errors";
import { compressions, isTopicName, parseBootstrapServers, saslMechanisms } from "@millrace/kafka/connection";
import { secretName } from "@millrace/proto";
import type { Connection } from "@millrace/proto/kafka";
import { type KafkaOutput, KafkaValue } from "@millrace/proto/stream";

const serversMax = 32;
const usernameCharsMax = 1_024;

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
  const connection = completeConnection(given.connection, `${field}.connection`);
  return { connection, topic: given.topic, value, compression };
}

function completeConnection(given: Connection | undefined, field: string): Connection {
  const servers = given?.bootstrapServers ?? [];
  if (servers.length === 0 || servers.length > serversMax) {
    const remedy = `Name 1 to ${serversMax} brokers as host:port.`;
    throw invalid(`${field}.bootstrap_servers`, `names ${servers.length} brokers`, remedy);
  }
  const bootstrapServers = servers.flatMap((one) => parseBootstrapServers(one, `${field}.bootstrap_servers`));
  const { tls, sasl } = given ?? {};
  for (const [name, secret] of [
    ["ca_secret", tls?.caSecret],
    ["cert_secret", tls?.certSecret],
    ["key_secret", tls?.keySecret],
  ] as const)
    checkSecret(secret ?? "", `${field}.tls.${name}`);
  if (tls !== undefined && (tls.certSecret === "") !== (tls.keySecret === "")) {
    const remedy = "Name the secrets of both the certificate and its key, or of neither.";
    throw invalid(`${field}.tls.key_secret`, "does not go with the certificate", remedy);
  }
  if (sasl !== undefined) {
    if (!(saslMechanisms as readonly string[]).includes(sasl.mechanism))
      throw invalid(`${field}.sasl.mechanism`, "is not known", `Use ${saslMechanisms.join(", ")}.`);
    if (sasl.username === "" || sasl.username.length > usernameCharsMax)
      throw invalid(`${field}.sasl.username`, "is empty or too long", "Name the user.");
    if (sasl.passwordSecret === "") {
      const remedy = "Name the file of the password in output's directory of secrets.";
      throw invalid(`${field}.sasl.password_secret`, "is missing", remedy);
    }
    checkSecret(sasl.passwordSecret, `${field}.sasl.password_secret`);
  }
  return { bootstrapServers, tls, sasl };
}

function checkSecret(name: string, field: string): void {
  if (name === "" || secretName.test(name)) return;
  throw invalid(field, "is no name of a secret", "Use letters, digits, dots, underscores and hyphens.");
}

function invalid(field: string, problem: string, remedy: string): CodedError {
  return new CodedError("invalid_argument", `check stream settings: ${field} ${problem}`, { field, remedy });
}

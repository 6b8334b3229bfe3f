import { KafkaCommit, KafkaStart } from "@millrace/proto/source";
import { invalidArgument } from "../rpc/millrace-error.js";
import type { Channel } from "../rpc/channel.js";
import { checkKeys, checkText, checkTexts } from "../units/checks.js";
import { addSource, type SourceHandle } from "../stream/source-handle.js";
import { type SecretValue, toValue } from "./secret-value.js";

export interface KafkaSourceOptions {
  /** Some of the cluster's brokers: `"kafka-1:9092,kafka-2:9092"`, or a list of them. */
  bootstrapServers: string | readonly string[];
  topic: string;
  /** Ingestion's replicas share the topic's partitions as its members. */
  consumerGroup: string;
  /** Where the group begins that never committed. Default `earliest`. */
  start?: "earliest" | "latest";
  /**
   * When an offset is committed: once the message is durable in Millrace (default), or once every output of
   * the stream has it.
   */
  commit?: "durable" | "out";
  /** Empty: the authorities that ingestion's machine trusts. Texts are PEM. */
  tls?: { ca?: SecretValue; cert?: SecretValue; key?: SecretValue };
  sasl?: {
    mechanism: "plain" | "scram-sha-256" | "scram-sha-512";
    username: SecretValue;
    password: SecretValue;
  };
  /** Which client ingestion uses. All members of a group must use one. */
  driver?: "kafkajs" | "platformatic";
  /** What the messages are attributed to. Default: each to its key, those without one to the topic. */
  sourceId?: string;
}

const keys = [
  "bootstrapServers",
  "topic",
  "consumerGroup",
  "start",
  "commit",
  "tls",
  "sasl",
  "driver",
  "sourceId",
] as const;

const starts = { earliest: KafkaStart.KAFKA_START_EARLIEST, latest: KafkaStart.KAFKA_START_LATEST };
const commits = { durable: KafkaCommit.KAFKA_COMMIT_DURABLE, out: KafkaCommit.KAFKA_COMMIT_OUT };

export async function addKafkaSource(
  channel: Channel,
  stream: string,
  options: KafkaSourceOptions,
): Promise<SourceHandle> {
  checkKeys(options, keys, "");
  const { bootstrapServers, topic, consumerGroup, tls, sasl, driver, sourceId } = options;
  const servers = typeof bootstrapServers === "string" ? [bootstrapServers] : bootstrapServers;
  checkTexts(servers, "bootstrapServers");
  if (servers.length === 0) {
    throw invalidArgument("bootstrapServers", "is empty", "Name brokers as host:port.");
  }
  checkText(topic, "topic");
  checkText(consumerGroup, "consumerGroup");
  if (driver !== undefined) checkText(driver, "driver");
  if (sourceId !== undefined) checkText(sourceId, "sourceId");
  if (tls !== undefined) checkKeys(tls, ["ca", "cert", "key"], "tls");
  if (sasl !== undefined) checkKeys(sasl, ["mechanism", "username", "password"], "sasl");
  const optional = (value: SecretValue | undefined, field: string) =>
    value === undefined ? undefined : toValue(value, field);
  const value = {
    bootstrapServers: [...servers],
    topic,
    consumerGroup,
    start: oneOf(starts, options.start ?? "earliest", "start"),
    commit: oneOf(commits, options.commit ?? "durable", "commit"),
    tls: tls && {
      ca: optional(tls.ca, "tls.ca"),
      cert: optional(tls.cert, "tls.cert"),
      key: optional(tls.key, "tls.key"),
    },
    sasl: sasl && {
      mechanism: sasl.mechanism,
      username: toValue(sasl.username, "sasl.username"),
      password: toValue(sasl.password, "sasl.password"),
    },
    driver: driver ?? "",
    sourceId: sourceId ?? "",
  };
  return addSource(channel, stream, { $case: "kafka", value });
}

function oneOf<Name extends string, Value>(
  values: Readonly<Record<Name, Value>>,
  name: Name,
  field: string,
): Value {
  if (Object.hasOwn(values, name)) return values[name];
  const remedy = `Use ${Object.keys(values).join(" or ")}.`;
  throw invalidArgument(field, "is none of the values that it may have", remedy);
}

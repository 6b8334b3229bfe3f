import type { Connection } from "@millrace/proto/kafka";
import { type KafkaOutput as WireKafka, KafkaValue } from "@millrace/proto/stream";
import { checkKeys, checkOneOf, checkText, checkTexts } from "../../units/checks.js";

/** A topic that gets each redacted message, keyed by its source id. */
export interface KafkaOutput {
  /** `host:port` of some brokers. */
  bootstrapServers: readonly string[];
  topic: string;
  /** `content`: the message as it is; `record`: JSON with all that is known of it. Default `content`. */
  value?: "content" | "record";
  /** Default `none`. */
  compression?: "none" | "gzip" | "snappy" | "lz4" | "zstd";
  /** Secrets are files in output's directory of them. Empty: TLS by the authorities of that machine. */
  tls?: { caSecret?: string; certSecret?: string; keySecret?: string };
  sasl?: {
    mechanism: "plain" | "scram-sha-256" | "scram-sha-512";
    username: string;
    passwordSecret: string;
  };
}

export type KafkaOutputInfo = Pick<KafkaOutput, "bootstrapServers" | "topic"> &
  Required<Pick<KafkaOutput, "value" | "compression">>;

const field = "outputs.kafka";

export function toKafka(kafka: KafkaOutput | undefined): WireKafka | undefined {
  if (kafka === undefined) return undefined;
  checkKeys(kafka, ["bootstrapServers", "topic", "value", "compression", "tls", "sasl"], field);
  const { topic, value = "content", compression = "none" } = kafka;
  checkText(topic, `${field}.topic`);
  checkOneOf(value, `${field}.value`, ["content", "record"]);
  checkOneOf(compression, `${field}.compression`, ["none", "gzip", "snappy", "lz4", "zstd"]);
  return {
    connection: toConnection(kafka, field),
    topic,
    value: value === "record" ? KafkaValue.KAFKA_VALUE_RECORD : KafkaValue.KAFKA_VALUE_CONTENT,
    compression,
  };
}

type KafkaCluster = Pick<KafkaOutput, "bootstrapServers" | "tls" | "sasl">;

/** Checks shapes; what names may be is the server's to say. */
export function toConnection({ bootstrapServers, tls, sasl }: KafkaCluster, of: string): Connection {
  checkTexts(bootstrapServers, `${of}.bootstrapServers`);
  if (tls !== undefined) checkKeys(tls, ["caSecret", "certSecret", "keySecret"], `${of}.tls`);
  if (sasl !== undefined) checkKeys(sasl, ["mechanism", "username", "passwordSecret"], `${of}.sasl`);
  const { caSecret = "", certSecret = "", keySecret = "" } = tls ?? {};
  return {
    bootstrapServers: [...bootstrapServers],
    tls: tls && { caSecret, certSecret, keySecret },
    sasl: sasl && { ...sasl },
  };
}

export function fromConnection(connection: Connection | undefined): KafkaCluster {
  const { bootstrapServers = [], tls, sasl } = connection ?? {};
  return {
    bootstrapServers,
    ...(tls !== undefined && {
      tls: {
        ...(tls.caSecret !== "" && { caSecret: tls.caSecret }),
        ...(tls.certSecret !== "" && { certSecret: tls.certSecret }),
        ...(tls.keySecret !== "" && { keySecret: tls.keySecret }),
      },
    }),
    ...(sasl !== undefined && {
      sasl: { ...sasl, mechanism: sasl.mechanism as NonNullable<KafkaCluster["sasl"]>["mechanism"] },
    }),
  };
}

export function toKafkaInfo({ connection, topic, value, compression }: WireKafka): KafkaOutputInfo {
  return {
    bootstrapServers: connection?.bootstrapServers ?? [],
    topic,
    value: value === KafkaValue.KAFKA_VALUE_RECORD ? "record" : "content",
    compression: compression as KafkaOutputInfo["compression"],
  };
}

import { CodedError } from "@millrace/errors";

/** How a Kafka cluster is reached. */
export interface KafkaConnection {
  /** `host:port` of some of its brokers. */
  bootstrapServers: readonly string[];
  /** By which the cluster's logs know us. */
  clientId: string;
  /** Absent: no TLS. Empty: the authorities that this machine trusts. */
  tls?: KafkaTls | undefined;
  sasl?: KafkaSasl | undefined;
}

export interface KafkaTls {
  /** PEM of the authority that signed the brokers' certificates. */
  ca?: string | undefined;
  /** PEM of a certificate of ours and its key, where brokers ask for one. */
  cert?: string | undefined;
  key?: string | undefined;
}

export interface KafkaSasl {
  mechanism: SaslMechanism;
  username: string;
  password: string;
}

export const saslMechanisms = ["plain", "scram-sha-256", "scram-sha-512"] as const;
export type SaslMechanism = (typeof saslMechanisms)[number];

/** Kafka's own rule for the names of its topics. */
export function isTopicName(name: string): boolean {
  return /^[A-Za-z0-9._-]{1,249}$/.test(name) && name !== "." && name !== "..";
}

/** How a Kafka producer may compress. */
export const compressions = ["none", "gzip", "snappy", "lz4", "zstd"] as const;
export type Compression = (typeof compressions)[number];

export const driverNames = ["kafkajs", "platformatic"] as const;
export type DriverName = (typeof driverNames)[number];

/** See docs/adr/0038-kafka.md: one is cheaper when consuming, the other when producing. */
export const defaultConsumerDriver: DriverName = "kafkajs";
export const defaultProducerDriver: DriverName = "platformatic";

/** A broker that takes longer is away. */
export const connectTimeoutMs = 5_000;
export const requestTimeoutMs = 15_000;

/** Splits and checks a list of brokers as a user writes it. */
export function parseBootstrapServers(text: string, field: string): string[] {
  const servers = text
    .split(",")
    .map((server) => server.trim())
    .filter((server) => server !== "");
  const wrong = servers.find((server) => !/^(\[[0-9a-f:.]+\]|[^\s:/@,]+):[1-9][0-9]{0,4}$/i.test(server));
  if (servers.length === 0 || wrong !== undefined) {
    throw new CodedError("invalid_argument", "kafka: the bootstrap servers are not a list of host:port", {
      field,
      remedy: "Name brokers as host:port, separated by commas, without a scheme.",
    });
  }
  return servers;
}

import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { TestAuthority } from "@millrace/runtime/testing";

/** Who may log in, by password, where a listener asks. */
export interface KafkaUser {
  username: string;
  password: string;
}

export interface BrokerPorts {
  plaintext: number;
  controller: number;
  /** TLS; only with an authority. */
  ssl: number;
  /** PLAIN and SCRAM without TLS, and with it. */
  sasl: number;
  saslSsl: number;
}

export interface BrokerSettings {
  dir: string;
  ports: BrokerPorts;
  users: readonly KafkaUser[];
  authority: TestAuthority | undefined;
}

const host = "127.0.0.1";
const mechanisms = "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512";

/** `server.properties` of one node that is broker and controller, with short times for tests. */
export async function brokerProperties(settings: BrokerSettings): Promise<string> {
  const { dir, ports, users, authority } = settings;
  const listeners: [name: string, port: number, protocol: string][] = [
    ["PLAINTEXT", ports.plaintext, "PLAINTEXT"],
    ["CONTROLLER", ports.controller, "PLAINTEXT"],
  ];
  if (authority !== undefined) listeners.push(["SSL", ports.ssl, "SSL"]);
  if (users.length > 0) listeners.push(["SASL", ports.sasl, "SASL_PLAINTEXT"]);
  if (users.length > 0 && authority !== undefined) listeners.push(["SASLSSL", ports.saslSsl, "SASL_SSL"]);
  const addresses = listeners.map(([name, port]) => `${name}://${host}:${port}`).join(",");
  const protocols = listeners.map(([name, , protocol]) => `${name}:${protocol}`).join(",");
  return [
    "process.roles=broker,controller",
    "node.id=1",
    `controller.quorum.voters=1@${host}:${ports.controller}`,
    "controller.listener.names=CONTROLLER",
    `listeners=${addresses}`,
    `advertised.listeners=${addresses}`,
    `listener.security.protocol.map=${protocols}`,
    "inter.broker.listener.name=PLAINTEXT",
    `log.dirs=${join(dir, "data")}`,
    "auto.create.topics.enable=false",
    "message.max.bytes=4194304",
    "offsets.topic.replication.factor=1",
    "offsets.topic.num.partitions=1",
    "transaction.state.log.replication.factor=1",
    "transaction.state.log.min.isr=1",
    "transaction.state.log.num.partitions=2",
    "share.coordinator.state.topic.replication.factor=1",
    "share.coordinator.state.topic.min.isr=1",
    "share.coordinator.state.topic.num.partitions=1",
    "group.initial.rebalance.delay.ms=0",
    "group.min.session.timeout.ms=1000",
    // One that was killed is waited for that long before it may come back.
    "broker.session.timeout.ms=1000",
    "broker.heartbeat.interval.ms=300",
    "num.network.threads=2",
    "num.io.threads=4",
    ...(authority === undefined ? [] : await tlsProperties(dir, authority)),
    ...(users.length === 0 ? [] : saslProperties(users)),
    "",
  ].join("\n");
}

/** Certificate and key in one PEM file, as the broker wants them. */
async function tlsProperties(dir: string, authority: TestAuthority): Promise<string[]> {
  const { certFile, keyFile, caFile } = await authority.issue("kafka", { dns: ["localhost"] });
  const both = join(dir, "kafka.pem");
  const [key, certificate] = await Promise.all([readFile(keyFile, "utf8"), readFile(certFile, "utf8")]);
  await writeFile(both, `${key.trim()}\n${certificate.trim()}\n`, { mode: 0o600 });
  return [
    "ssl.keystore.type=PEM",
    `ssl.keystore.location=${both}`,
    "ssl.truststore.type=PEM",
    `ssl.truststore.location=${caFile}`,
    "ssl.client.auth=requested",
  ];
}

function saslProperties(users: readonly KafkaUser[]): string[] {
  const known = users.map(({ username, password }) => `user_${username}="${password}"`).join(" ");
  const module = (name: string): string =>
    `sasl.jaas.config=org.apache.kafka.common.security.${name}LoginModule required`;
  return ["sasl", "saslssl"].flatMap((listener) => {
    const at = `listener.name.${listener}`;
    return [
      `${at}.sasl.enabled.mechanisms=${mechanisms}`,
      `${at}.plain.${module("plain.Plain")} ${known};`,
      `${at}.scram-sha-256.${module("scram.Scram")};`,
      `${at}.scram-sha-512.${module("scram.Scram")};`,
    ];
  });
}

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { kafkaDrivers } from "@millrace/kafka";
import { readTopic, type TopicReader } from "@millrace/kafka/testing";
import { createStreamProcessor, type KafkaOutput } from "@millrace/sdk";
import { kafkaUser, secrets } from "../contract-system.js";
import {
  type OpenSink,
  publishBad,
  type SinkToName,
  type SinkToOpen,
  type SinkUnderTest,
} from "./sink-under-test.js";
import { isParked } from "./storage.js";

const topicBytesMax = 200_000;

export const kafkaSink: SinkUnderTest = {
  name: "Kafka output",
  writer: "output",
  once: false,
  leftOut: { "lost connection": "its broker is killed and started, see back-pressure" },
  untrusted: /TLS could not be agreed on/,
  badSettings: ({ system, name }) => {
    const output = { bootstrapServers: [system.kafka.bootstrap], topic: name };
    const set = (more: Partial<KafkaOutput>) => () =>
      createStreamProcessor(`${name}-bad`, system.client, { outputs: { kafka: { ...output, ...more } } });
    const at = "stream.outputs.kafka";
    return [
      [`${at}.topic`, set({ topic: "no topic" })],
      [`${at}.connection.bootstrap_servers`, set({ bootstrapServers: ["http://broker"] })],
      [`${at}.connection.bootstrap_servers`, set({ bootstrapServers: [] })],
      [`${at}.connection.tls.key_secret`, set({ tls: { certSecret: "cert" } })],
      [
        `${at}.connection.sasl.password_secret`,
        set({ sasl: { mechanism: "plain", username: "u", passwordSecret: "../x" } }),
      ],
    ];
  },
  outputs: async (of) => {
    await of.system.kafka.createTopic(of.name, { config: { "max.message.bytes": String(topicBytesMax) } });
    return { kafka: outputOf(of) };
  },
  open: async (of) => openTopic(of),
};

function outputOf({ system, name, signedBy }: SinkToName): KafkaOutput {
  const { kafka } = system;
  return {
    bootstrapServers: [signedBy === undefined ? kafka.saslBootstrap : kafka.saslSslBootstrap],
    topic: name,
    sasl: {
      mechanism: "scram-sha-256",
      username: kafkaUser.username,
      passwordSecret: secrets.kafkaPassword,
    },
    ...(signedBy !== undefined && {
      tls: { caSecret: signedBy === "stranger" ? secrets.strangerCa : secrets.ca },
    }),
  };
}

function openTopic({ system, stream }: SinkToOpen): OpenSink {
  const { kafka } = system;
  const { name } = stream;
  let reader: TopicReader | undefined;
  let readers = 0;
  let isAway = false;
  const closeReader = async (): Promise<void> => {
    const ended = reader;
    reader = undefined;
    await ended?.consumer.close().catch(() => undefined);
  };
  /** From the first record on, by a reader of its own, since one ends with its broker. */
  const readAll = async (): Promise<TopicReader> => {
    if (reader !== undefined && reader.ended.length > 0) await closeReader();
    const connection = { bootstrapServers: [kafka.bootstrap], clientId: "contract" };
    reader ??= await readTopic(kafkaDrivers.kafkajs, {
      connection,
      topic: name,
      group: `${name}-${readers++}`,
      from: ({ low }) => low,
    });
    return reader;
  };
  return {
    arrived: async () => (isAway ? [] : (await readAll()).records.map(({ key }) => key ?? "")),
    takeAway: async () => {
      isAway = true;
      await closeReader();
      await kafka.kill();
    },
    giveBack: async () => {
      await kafka.start();
      isAway = false;
    },
    holds: async () => isParked(await stream.status()),
    // A stream's status has no word of its outputs: what holds one up is in output's log.
    lastError: () => readFile(join(system.stateDir, "logs", "output.log"), "utf8"),
    bad: [
      {
        what: "a message above the Kafka topic's limit",
        told: "dead letter",
        words: /above the topic's size limit/,
        give: publishBad(stream, { text: "x".repeat(topicBytesMax + 1), sourceId: "large" }),
      },
    ],
    limit: {
      what: "a batch above the Kafka topic's limit goes in requests that it takes",
      check: ({ give }) => give(40, 48 * 1024),
    },
    close: closeReader,
  };
}

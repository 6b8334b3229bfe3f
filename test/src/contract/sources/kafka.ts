import { limits } from "@millrace/envelope";
import { type KafkaMessage, kafkaDrivers } from "@millrace/kafka";
import type { KafkaSourceOptions } from "@millrace/sdk";
import { until } from "../../system/observe.js";
import { kafkaUser, secrets } from "../contract-system.js";
import type { OpenSource, SourceToOpen, SourceUnderTest } from "./source-under-test.js";

/** Of a request to a broker: at most 4 MiB go into one. */
const sendBytesMax = 1024 * 1024;

export const kafkaSource: SourceUnderTest = {
  name: "Kafka",
  reader: "ingestion",
  replays: true,
  leftOut: {
    "lost connection": "both drivers are tested over a broker's restart, libs/kafka/src/drivers.test.ts",
  },
  untrusted: /TLS could not be agreed on.*the authority given signed the broker's certificate/s,
  badSettings: ({ system, stream }) => {
    const add = (more: Partial<KafkaSourceOptions>) => () =>
      stream.addKafkaSource({ ...optionsOf({ system, stream }), ...more });
    const sasl = { mechanism: "plain", username: "u", password: "p" } as const;
    return [
      ["source.kafka.bootstrap_servers", add({ bootstrapServers: "http://kafka" })],
      ["source.kafka.topic", add({ topic: "no topic" })],
      ["source.kafka.consumer_group", add({ consumerGroup: "a group" })],
      ["source.kafka.tls.ca", add({ tls: { ca: "no PEM" } })],
      ["source.kafka.sasl.mechanism", add({ sasl: { ...sasl, mechanism: "magic" as "plain" } })],
      ["source.kafka.sasl.password", add({ sasl: { ...sasl, password: { secret: "../x" } } })],
    ];
  },
  open: openKafka,
};

async function openKafka(of: SourceToOpen): Promise<OpenSource> {
  const { system, stream, signedBy } = of;
  const { kafka } = system;
  const { name } = stream;
  await kafka.createTopic(name);
  const connection = { bootstrapServers: [kafka.bootstrap], clientId: "contract" };
  const producer = kafkaDrivers.platformatic.createProducer({ connection });
  await producer.start();
  const source = await stream.addKafkaSource(optionsOf(of));
  const state = async (): Promise<string> => (await source.status()).state;
  if (signedBy !== "stranger") await until(async () => (await state()) === "running", `${name} is read`);
  const send = (message: KafkaMessage) => () => producer.send(name, [message]);
  return {
    feed: async (texts) => {
      for (const part of parts(texts)) {
        await producer.send(
          name,
          part.map((text) => ({ value: Buffer.from(text) })),
        );
      }
    },
    waits: async () => (await state()) === "waiting",
    lastError: async () => (await source.status()).lastError ?? "",
    tooLarge: {
      what: "a record one byte too large",
      told: "dead letter",
      words: /above the size limit/,
      give: send({ value: Buffer.alloc(limits.messageBytesMax + 1, "x") }),
    },
    bad: [
      { what: "a null value", told: "dead letter", words: /tombstone/, give: send({ value: null }) },
      {
        what: "a line feed where the stream stores lines",
        told: "dead letter",
        words: /line feed/,
        give: send({ value: Buffer.from("two\nlines") }),
      },
      {
        what: "a header that is too long",
        told: "dead letter",
        words: /header/,
        give: send({ value: Buffer.from("x"), headers: { long: Buffer.alloc(9_000, "h") } }),
      },
      {
        what: "bytes that are no UTF-8",
        told: "passed",
        words: /^no \ufffd text$/,
        give: send({ value: Buffer.from("no \xff text", "latin1") }),
      },
    ],
    close: () => producer.close(),
  };
}

function optionsOf({ system, stream, signedBy }: SourceToOpen): KafkaSourceOptions {
  const { kafka } = system;
  const ca = { secret: signedBy === "stranger" ? secrets.strangerCa : secrets.ca };
  return {
    bootstrapServers: signedBy === undefined ? kafka.saslBootstrap : kafka.saslSslBootstrap,
    topic: stream.name,
    consumerGroup: stream.name,
    sasl: {
      mechanism: "scram-sha-256",
      username: kafkaUser.username,
      password: { secret: secrets.kafkaPassword },
    },
    ...(signedBy !== undefined && { tls: { ca } }),
  };
}

/** Texts in their order, in parts that fit into a request. */
function parts(texts: readonly string[]): string[][] {
  const all: string[][] = [];
  let bytes = Infinity;
  for (const text of texts) {
    bytes += text.length;
    if (bytes > sendBytesMax) {
      all.push([]);
      bytes = text.length;
    }
    all.at(-1)?.push(text);
  }
  return all;
}

import { setTimeout as sleep } from "node:timers/promises";
import { CodedError } from "@millrace/errors";
import {
  defaultConsumerDriver,
  defaultProducerDriver,
  kafkaDrivers,
  type KafkaConnection,
} from "@millrace/kafka";
import { type KafkaServer, readTopic, startKafka, topicCount } from "@millrace/kafka/testing";
import { createStreamProcessor, type StreamOptions } from "@millrace/sdk";
import type { BenchContext } from "../bench-context.js";
import { createLineMaker } from "../pipeline/line-maker.js";
import { line, note, rounded, table } from "../report.js";
import { keepResult } from "../results.js";
import { type BenchSystem, withSystem } from "../system/bench-system.js";
import { runPlainLoop } from "./plain-loop.js";
import { addValue, emptyTopicSum, type TopicSum } from "./topic-sum.js";

const sizes = [1_024, 16_384] as const;
const partitions = 4;
const defaultGb = 0.25;
/** From here on it is measured: members have joined, connections are open, caches are warm. */
const warmShare = 0.2;
const pollMs = 20;

interface Outcome {
  bytes: number;
  millrace: number;
  loop: number;
}

/** Kafka → redact → Kafka: Millrace, then a plain loop over the same drivers. */
export async function runKafka(context: BenchContext): Promise<void> {
  const kafka = await startKafka();
  try {
    const outcomes = await withSystem(context, 1, async (system) => {
      const all: Outcome[] = [];
      for (const bytes of sizes) all.push(await measure(context, { system, kafka, bytes }));
      return all;
    });
    line(`drivers: consumed by ${defaultConsumerDriver}, produced by ${defaultProducerDriver} with acks=all`);
    line(`load:    ${context.options.gb ?? defaultGb} GB each, ${partitions} partitions, one broker`);
    line("");
    table([
      ["bytes a message", "Millrace MB/s", "plain loop MB/s", "of the loop"],
      ...outcomes.map(({ bytes, millrace, loop }) => [
        bytes,
        rounded(millrace, 1),
        rounded(loop, 1),
        `${rounded((millrace / loop) * 100, 0)} %`,
      ]),
    ]);
    line("");
    const result = Object.fromEntries(
      outcomes.flatMap(({ bytes, millrace, loop }) => [
        [`mb_per_s_${bytes}`, rounded(millrace, 1)],
        [`of_loop_${bytes}`, rounded(millrace / loop, 2)],
      ]),
    );
    keepResult(context, { bench: "kafka", ...result }, { outcomes });
  } finally {
    await kafka.stop();
  }
}

interface Case {
  system: BenchSystem;
  kafka: KafkaServer;
  bytes: number;
}

async function measure(context: BenchContext, { system, kafka, bytes }: Case): Promise<Outcome> {
  const connection: KafkaConnection = { bootstrapServers: [kafka.bootstrap], clientId: "bench" };
  const [from, through, around] = ["in", "millrace", "loop"].map((name) => `${name}-${bytes}`) as [
    string,
    string,
    string,
  ];
  for (const name of [from, through, around]) await kafka.createTopic(name, { partitions });
  const count = Math.round(((context.options.gb ?? defaultGb) * 1e9) / bytes);
  note(`filling ${from}`);
  const expected = await fill(context, connection, { to: from, count, bytes });
  note(`through Millrace`);
  const stream = await createStreamProcessor(`bench-kafka-${bytes}`, system.client, {
    ...declared,
    outputs: {
      ...declared.outputs,
      kafka: { bootstrapServers: [kafka.bootstrap], topic: through },
    },
  });
  const source = await stream.addKafkaSource({
    bootstrapServers: [kafka.bootstrap],
    topic: from, // of Kafka
    consumerGroup: `millrace-${bytes}`,
  });
  const millrace = await rateOf(kafka, { name: through, count, bytes, signal: context.signal });
  await source.remove();
  await stream.close();
  note("through the plain loop");
  const ending = new AbortController();
  const loop = runPlainLoop({ connection, from, to: around, group: `loop-${bytes}`, signal: ending.signal });
  const looped = await rateOf(kafka, { name: around, count, bytes, signal: context.signal });
  ending.abort();
  await loop;
  for (const name of [through, around]) await check(connection, name, expected);
  return { bytes, millrace, loop: looped };
}

const declared = {
  processingMode: "batch",
  enrichments: { embeddings: false, sentiment: false },
  outputs: { results: false, artifacts: false, search: false, events: false },
} satisfies StreamOptions;

interface Filling {
  to: string;
  count: number;
  bytes: number;
}

/** Fills a Kafka topic; what should come out is its sum. */
async function fill(
  { options }: BenchContext,
  connection: KafkaConnection,
  { to, count, bytes }: Filling,
): Promise<TopicSum> {
  const expected = emptyTopicSum();
  const { personal, seed } = options;
  const maker = createLineMaker({ lineBytes: bytes, personal, firstSequence: 0, seed });
  const producer = kafkaDrivers[defaultProducerDriver].createProducer({ connection });
  await producer.start();
  const each = Math.max(1, Math.floor((512 * 1024) / bytes));
  for (let at = 0; at < count; at += each) {
    const messages = Array.from({ length: Math.min(each, count - at) }, (_, row) => {
      const target = Buffer.alloc(bytes);
      addValue(expected, Buffer.from(maker.write(target, 0)));
      return { key: Buffer.from(`key-${(at + row) % 64}`), value: target.subarray(0, bytes - 1) };
    });
    await producer.send(to, messages);
  }
  await producer.close();
  return expected;
}

interface Watched {
  name: string;
  count: number;
  bytes: number;
  signal: AbortSignal;
}

/** MB/s into a Kafka topic, from a fifth of its records on. */
async function rateOf(kafka: KafkaServer, { name, count, bytes, signal }: Watched): Promise<number> {
  let warm: { at: number; ms: number } | undefined;
  for (;;) {
    const at = await topicCount(kafka.bootstrap, name);
    const ms = performance.now();
    if (warm === undefined && at >= count * warmShare) warm = { at, ms };
    if (at >= count) return ((count - (warm?.at ?? 0)) * bytes) / 1e3 / (ms - (warm?.ms ?? 0));
    await sleep(pollMs, undefined, { signal });
  }
}

async function check(connection: KafkaConnection, name: string, expected: TopicSum): Promise<void> {
  const found = emptyTopicSum();
  const driver = kafkaDrivers[defaultConsumerDriver];
  const reader = await readTopic(driver, { connection, topic: name, group: `check-${name}` }); // of Kafka
  const records = await reader.until(expected.count);
  await reader.consumer.close();
  for (const { value } of records) addValue(found, value ?? "");
  if (found.count === expected.count && found.sum === expected.sum) return;
  throw new CodedError(
    "data_loss",
    `bench kafka: ${name} holds ${found.count} of ${expected.count}, or others`,
  );
}

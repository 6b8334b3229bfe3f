import assert from "node:assert/strict";
import { copyFile, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { kafkaDrivers } from "@millrace/kafka";
import {
  configureTopic,
  type KafkaServer,
  type ReadRecord,
  readTopic,
  startKafka,
  topicCount,
} from "@millrace/kafka/testing";
import { createAuthority } from "@millrace/runtime/testing";
import {
  createStreamProcessor,
  type DeadLetter,
  type KafkaOutput,
  type StreamProcessor,
} from "@millrace/sdk";
import { startTestSystem, type TestSystem } from "../system/local-system.js";
import { until } from "../system/observe.js";

const user = { username: "alice", password: "a-good-password" };
const byNumber = (one: number, other: number): number => one - other;

describe("a stream with a Kafka topic as its output", () => {
  let system: TestSystem;
  let kafka: KafkaServer;
  let dir: string;
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), "kafka-output-"));
    const authority = await createAuthority(dir);
    [system, kafka] = await Promise.all([startTestSystem({}), startKafka({ authority, users: [user] })]);
    const secrets = join(system.inputDir, "secrets");
    await mkdir(secrets, { recursive: true });
    await copyFile(authority.caFile, join(secrets, "kafka-ca"));
    await writeFile(join(secrets, "kafka-password"), `${user.password}\n`);
  });
  after(async () => {
    await system.stop();
    await kafka.stop();
    await rm(dir, { recursive: true, force: true });
  });

  const open = (name: string, more: Partial<KafkaOutput> = {}): Promise<StreamProcessor> =>
    createStreamProcessor(name, system.client, {
      enrichments: { embeddings: false, sentiment: false },
      outputs: {
        results: false,
        artifacts: false,
        search: false,
        events: false,
        kafka: { bootstrapServers: [kafka.bootstrap], topic: name, ...more },
      },
    });
  const read = async (topic: string, count: number): Promise<ReadRecord[]> => {
    const connection = { bootstrapServers: [kafka.bootstrap], clientId: "test" };
    const reader = await readTopic(kafkaDrivers.kafkajs, { connection, topic, group: `test-${topic}` });
    try {
      return [...(await reader.until(count))];
    } finally {
      await reader.consumer.close();
    }
  };
  const header = (record: ReadRecord | undefined, name: string): string | null | undefined =>
    record?.headers.find(([known]) => known === name)?.[1];
  const settled = (stream: StreamProcessor, count: number) =>
    until(async () => {
      const { conservation } = await stream.status();
      return conservation.balanced && conservation.inFlight === 0 && conservation.in === count;
    }, `${count} messages are accounted for`);

  it("sends the redacted message, keyed by its source id, with what is known of it in headers", async () => {
    await kafka.createTopic("plain", { partitions: 3 });
    await using stream = await open("plain", { compression: "gzip" });
    const texts = Array.from({ length: 200 }, (_, at) => `${at} mail ann@example.com`);
    const published = await stream.publish(
      texts.map((text) => ({ text, sourceId: "room", attributes: { seat: "a" } })),
    );
    const records = await read("plain", 200);
    assert.deepEqual(
      records.map(({ value }) => value).sort(),
      texts.map((text) => text.replace("ann@example.com", "[EMAIL]")).sort(),
    );
    assert.ok(records.every(({ key }) => key === "room"));
    // One key, one partition.
    assert.equal(new Set(records.map(({ partition }) => partition)).size, 1);
    assert.deepEqual(
      records.map((record) => Number(header(record, "millrace-position")?.split(" ")[1])).sort(byNumber),
      published.map(({ position }) => position.offset).sort(byNumber),
    );
    assert.match(header(records[0], "millrace-id") ?? "", /^[0-9a-f]{32}$/);
    assert.equal(header(records[0], "seat"), "a");
    await settled(stream, 200);
  });

  it("sends records of JSON where they are asked for", async () => {
    await kafka.createTopic("records");
    await using stream = await open("records", { value: "record" });
    await stream.publish({ text: "to bob@example.com\nand on", sourceId: "desk" });
    const [record] = await read("records", 1);
    const { text, source_id, findings } = JSON.parse(record?.value ?? "") as Record<string, unknown>;
    assert.deepEqual([text, source_id], ["to [EMAIL]\nand on", "desk"]);
    assert.deepEqual((findings as { type: string }[])[0]?.type, "EMAIL");
  });

  it("waits for a topic that is not there, and holds up nobody else meanwhile", async () => {
    await kafka.createTopic("other");
    await using late = await open("late");
    await using other = await open("other");
    await late.publish({ text: "early" });
    await other.publish({ text: "on time" });
    assert.equal((await read("other", 1))[0]?.value, "on time");
    await kafka.createTopic("late");
    assert.equal((await read("late", 1))[0]?.value, "early");
    await settled(late, 1);
  });

  it("a record that a topic refuses is a dead letter, and goes there once when it is redriven", async () => {
    const { deadLetters } = system.client;
    await kafka.createTopic("narrow", { config: { "max.message.bytes": "2048" } });
    await using stream = await open("narrow", { value: "record" });
    const long = `to ann@example.com ${"and so on ".repeat(400)}`;
    await stream.publish([
      { text: long, sourceId: "long" },
      { text: "short", sourceId: "short" },
    ]);
    await settled(stream, 2);
    const found: DeadLetter[] = [];
    for await (const letter of deadLetters.list({ stream: "narrow" })) found.push(letter);
    assert.deepEqual(
      found.map(({ stage, code, refusal }) => [stage, code, refusal]),
      [["kafka", "invalid_argument", ""]],
    );
    const id = found[0]?.id ?? "";
    assert.match(found[0]?.reason ?? "", /^kafka/);
    const { message } = await deadLetters.get(id);
    assert.equal(message?.kind === "text" && message.text, long.replace("ann@example.com", "[EMAIL]"));
    await assert.rejects(deadLetters.redrive(id), { code: "invalid_argument" });
    assert.equal((await stream.status()).conservation.dead, 1);
    assert.equal(await topicCount(kafka.bootstrap, "narrow"), 1);
    await configureTopic(kafka.bootstrap, "narrow", { "max.message.bytes": "1048576" });
    const redriven = await deadLetters.redrive({ stream: "narrow", stage: "kafka" });
    assert.deepEqual(redriven, { redriven: 1, failures: [] });
    await settled(stream, 2);
    assert.equal((await stream.status()).conservation.dead, 0);
    const records = await read("narrow", 2);
    assert.deepEqual(
      records.map(({ key }) => key),
      ["short", "long"],
    );
    const { findings } = JSON.parse(records[1]?.value ?? "") as { findings: { type: string }[] };
    assert.equal(findings[0]?.type, "EMAIL");
    assert.equal(await topicCount(kafka.bootstrap, "narrow"), 2);
  });

  it("a trigger tells another topic of events, and waits for a topic that is not there", async () => {
    const { triggers } = system.client;
    await kafka.createTopic("told");
    const outputs = { artifacts: false, search: false };
    const enrichments = { embeddings: false, sentiment: false };
    await using stream = await createStreamProcessor("telling", system.client, { enrichments, outputs });
    const bootstrapServers = [kafka.bootstrap];
    const on = ["new_data"] as const;
    const of = (id: string, topic: string) => ({
      id,
      on,
      stream: "telling",
      kafka: { bootstrapServers, topic },
    });
    const secured = {
      bootstrapServers: [kafka.saslSslBootstrap],
      topic: "told",
      tls: { caSecret: "kafka-ca" },
      sasl: { mechanism: "scram-sha-512", username: "alice", passwordSecret: "kafka-password" },
    } as const;
    const made = await triggers.create({ ...of("told", "told"), kafka: secured });
    assert.deepEqual(made.kafka, secured);
    await triggers.create(of("later", "told-later"));
    await stream.publish({ text: "a", sourceId: "ann@example.com" });
    const [record] = await read("told", 1);
    const { type, data } = JSON.parse(record?.value ?? "") as {
      type: string;
      data: { stream: string; messages: { messageId: string; sourceId: string }[] };
    };
    assert.deepEqual([type, data.stream, record?.key], ["new_data", "telling", "telling"]);
    assert.equal(data.messages.length, 1);
    assert.doesNotMatch(record?.value ?? "", /ann@example/);
    assert.equal(header(record, "ce_type"), "millrace.new_data");
    assert.match(header(record, "ce_id") ?? "", /^[0-9a-f]{32}$/);
    const stateOf = async () => (await triggers.get({ id: "later", stream: "telling" })).lastError;
    await until(async () => /no such topic/.test(await stateOf()), "the missing topic is told");
    await kafka.createTopic("told-later");
    assert.equal((await read("told-later", 1)).length, 1);
    await assert.rejects(
      triggers.create({ ...of("bad", "told"), kafka: { bootstrapServers: ["http://x"], topic: "told" } }),
      { code: "invalid_argument", field: "trigger.kafka.connection.bootstrap_servers" },
    );
    for (const id of ["told", "later"]) await triggers.delete({ id, stream: "telling" });
  });
});

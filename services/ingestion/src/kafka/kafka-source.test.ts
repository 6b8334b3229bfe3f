import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { driverNames, type KafkaConnection, kafkaDrivers, type KafkaMessage } from "@millrace/kafka";
import { Stream } from "@millrace/proto/stream";
import { systemClock } from "@millrace/runtime";
import { type KafkaServer, startKafka } from "@millrace/kafka/testing";
import { eventually } from "@millrace/runtime/testing";
import type { SourceReader } from "../source/source-reader.js";
import type { KafkaSourceOptions } from "./kafka-source.js";
import { createTaker, openSource as open, type SourceToOpen, type Taker, unreachable } from "./testing.js";

const timers = { now: systemClock.monotonic, sleep: systemClock.sleep, random: () => 0.5 };

function openSource(
  taker: Taker,
  connection: KafkaConnection,
  options: Partial<KafkaSourceOptions> & Omit<SourceToOpen, "timers">,
): SourceReader {
  return open(taker, connection, { timers, ...options });
}

const alice = { username: "alice", password: "a-good-password" };
let kafka: KafkaServer;
let topics = 0;
before(async () => {
  kafka = await startKafka({ users: [alice] });
});
after(() => kafka.stop());

const plain = (): KafkaConnection => ({ bootstrapServers: [kafka.bootstrap], clientId: "test" });

async function newTopic(partitions = 1): Promise<string> {
  const topic = `orders-${++topics}`;
  await kafka.createTopic(topic, { partitions });
  return topic;
}

async function send(topic: string, messages: readonly KafkaMessage[]): Promise<void> {
  const producer = kafkaDrivers.platformatic.createProducer({ connection: plain() });
  await producer.start();
  await producer.send(topic, messages);
  await producer.close();
}

const numbered = (count: number, from = 0): KafkaMessage[] =>
  Array.from({ length: count }, (_, at) => ({ value: Buffer.from(`m${from + at}`), partition: 0 }));

// They wait more than they work.
describe("a Kafka source", { concurrency: 5 }, () => {
  for (const driver of driverNames) {
    test(`${driver}: keys are source ids, headers attributes; what is no message is refused`, async () => {
      const topic = await newTopic();
      const value = Buffer.from("v");
      await send(topic, [
        { key: Buffer.from("customer-1"), value, headers: { kind: Buffer.from("order") } },
        { value, headers: { binary: Buffer.from([0xff]) } },
        { key: Buffer.from([0xff, 0]), value: Buffer.from([0xff, 0xfe]) },
        { key: Buffer.from("customer-1"), value: null },
        { value: Buffer.alloc(800 * 1024, "x") },
        { value, headers: { long: Buffer.alloc(9_000, "h") } },
        { value: Buffer.from("last") },
      ]);
      const taker = createTaker();
      const source = openSource(taker, plain(), { topic, driver });
      source.start();
      await eventually(() => source.status().lagMessages === 0 && taker.rows.at(-1)?.text === "last", {
        what: "all is read",
      });
      await source.close();
      assert.deepEqual(
        taker.rows.map(({ position, sourceId, attributes }) => [position, sourceId.slice(0, 10), attributes]),
        [
          [0, "customer-1", { kind: "order" }],
          [1, topic, {}],
          [2, taker.rows[2]?.sourceId.slice(0, 10), {}],
          [6, topic, {}],
        ],
      );
      assert.match(taker.rows[2]?.sourceId ?? "", /^[0-9a-f]{32}$/);
      assert.deepEqual(
        taker.rejected.map(({ position, truncatedBytes }) => [position, truncatedBytes]),
        [
          [3, 0],
          [4, 800 * 1024 - 65_536],
          [5, 0],
        ],
      );
      assert.match(taker.rejected[0]?.reason ?? "", /tombstone/);
    });

    test(`${driver}: reads pause while buffer takes nothing, and nothing is lost or doubled`, async () => {
      const topic = await newTopic();
      const body = Buffer.alloc(64 * 1024, "y");
      for (let part = 0; part < 8; part++) {
        await send(
          topic,
          Array.from({ length: 16 }, () => ({ value: body })),
        );
      }
      const taker = createTaker();
      let isOpen = false;
      taker.before = async () => {
        if (!isOpen) throw unreachable;
      };
      const source = openSource(taker, plain(), { topic, driver });
      source.start();
      await eventually(() => source.status().state === "waiting", { what: "it waits for buffer" });
      const waited = source.status();
      assert.match(waited.lastError ?? "", /away/);
      assert.equal(waited.lagMessages, 128);
      await systemClock.sleep(300);
      assert.equal(taker.rows.length, 0);
      isOpen = true;
      await eventually(() => taker.rows.length >= 128, { what: "all is read" });
      await eventually(() => source.status().state === "running", { what: "it runs again" });
      await source.close();
      const positions = taker.rows.map(({ position }) => position);
      assert.deepEqual(
        positions.toSorted((a, b) => a - b),
        Array.from({ length: 128 }, (_, at) => at),
      );
    });

    test(`${driver}: it resumes where buffer is, also where nothing was committed`, async () => {
      const topic = await newTopic();
      await send(topic, numbered(10));
      const taker = createTaker();
      const first = openSource(taker, plain(), { topic, driver, commitIntervalMs: 3_600_000 });
      first.start();
      await eventually(() => taker.rows.length === 10, { what: "all is read" });
      // As after a kill: the group knows of nothing.
      const again = openSource(taker, plain(), { topic, driver, group: "another" });
      await send(topic, numbered(5, 10));
      again.start();
      await eventually(() => taker.rows.length >= 15, { what: "the rest is read" });
      await Promise.all([first.close(), again.close()]);
      const texts = new Set(taker.rows.map(({ text }) => text));
      assert.equal(texts.size, 15);
      assert.ok(
        !taker.rows.slice(10).some(({ position }) => position < 10),
        "what buffer had is not read again",
      );
    });
  }

  test("a group that never committed may begin at the end, and finds that place again", async () => {
    const topic = await newTopic();
    await send(topic, numbered(5));
    const taker = createTaker();
    const first = openSource(taker, plain(), { topic, start: "latest" });
    first.start();
    await eventually(() => first.status().position === "partition:offset 0:5", { what: "it has begun" });
    await first.close();
    await send(topic, numbered(3, 5));
    const second = openSource(taker, plain(), { topic, start: "latest" });
    second.start();
    await eventually(() => taker.rows.length === 3, { what: "what came meanwhile is read" });
    await second.close();
    assert.deepEqual(
      taker.rows.map(({ text }) => text),
      ["m5", "m6", "m7"],
    );
  });

  test("when another joins, what is under way is waited for and committed, and not read again", async () => {
    const topic = await newTopic(2);
    await send(topic, [...numbered(50), ...numbered(50).map((message) => ({ ...message, partition: 1 }))]);
    const taker = createTaker();
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    taker.before = () => held;
    const first = openSource(taker, plain(), { topic });
    first.start();
    await eventually(() => first.status().lagMessages === 100, { what: "it has both partitions" });
    const second = openSource(taker, plain(), { topic });
    second.start();
    await systemClock.sleep(1_000);
    taker.before = async () => undefined;
    release();
    const hasOne = (status: { position: string }) => /^partition:offset [01]:50$/.test(status.position);
    await eventually(() => hasOne(first.status()) && hasOne(second.status()), {
      what: "each has one partition, at its end",
      deadlineMs: 30_000,
    });
    await Promise.all([first.close(), second.close()]);
    assert.equal(taker.rows.length, 100, "nothing twice");
  });

  test("a wrong password is the source's error, without its text; right again it goes on", async () => {
    const topic = await newTopic();
    await send(topic, numbered(1));
    const taker = createTaker();
    let password = "not-the-password";
    const source = openSource(taker, plain(), {
      topic,
      connect: async () => ({
        bootstrapServers: [kafka.saslBootstrap],
        clientId: "test",
        sasl: { mechanism: "scram-sha-256", username: "alice", password },
      }),
    });
    source.start();
    await eventually(() => source.status().state === "failed", { what: "it has failed" });
    assert.match(source.status().lastError ?? "", /unauthenticated.*refuse the user or the password/);
    assert.doesNotMatch(JSON.stringify(source.status()), /not-the-password|alice/);
    password = alice.password;
    await eventually(() => taker.rows.length === 1, { what: "it reads" });
    await source.close();
  });

  test("a stream that is stored as lines gets no record with a line feed", async () => {
    const topic = await newTopic();
    await send(topic, [{ value: Buffer.from("a\nb") }, { value: Buffer.from("c") }]);
    const taker = createTaker(Stream.fromPartial({ outputs: { storage: { format: 2 } } }));
    const source = openSource(taker, plain(), { topic });
    source.start();
    await eventually(() => taker.rows.length === 1, { what: "the other is read" });
    await source.close();
    assert.match(taker.rejected[0]?.reason ?? "", /line feed/);
  });
});

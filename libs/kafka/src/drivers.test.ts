import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { after, before, describe } from "node:test";
import zlib from "node:zlib";
import { systemClock } from "@millrace/runtime";
import { createAuthority, eventually, type TestAuthority } from "@millrace/runtime/testing";
import { type DriverName, driverNames, type KafkaConnection } from "./connection.js";
import { type KafkaDriver, kafkaDrivers } from "./drivers.js";
import type { Compression } from "./connection.js";
import type { KafkaMessage } from "./producer.js";
import { type KafkaServer, startKafka } from "./testing/kafka-server.js";
import { readTopic } from "./testing/read-topic.js";

// What both drivers promise, against a real broker.
const alice = { username: "alice", password: "a-good-password" };
let kafka: KafkaServer;
let authority: TestAuthority;
let dir: string;
let names = 0;

before(async () => {
  dir = await mkdtemp(join(tmpdir(), "millrace-kafka-ca-"));
  authority = await createAuthority(dir);
  kafka = await startKafka({ authority, users: [alice] });
});
after(async () => {
  await kafka.stop();
  await rm(dir, { recursive: true, force: true });
});

const plain = (): KafkaConnection => ({ bootstrapServers: [kafka.bootstrap], clientId: "contract" });

async function newTopic(partitions = 1): Promise<{ topic: string; group: string }> {
  const number = ++names;
  const topic = `topic-${number}`;
  await kafka.createTopic(topic, { partitions });
  return { topic, group: `group-${number}` };
}

const numbered = (count: number, from = 0): KafkaMessage[] =>
  Array.from({ length: count }, (_, at) => ({ value: Buffer.from(`m${from + at}`) }));

type Send = (topic: string, messages: readonly KafkaMessage[], options?: SendOptions) => Promise<void>;
interface SendOptions {
  connection?: KafkaConnection;
  compression?: Compression;
}

const sendBy =
  (driver: KafkaDriver): Send =>
  async (topic, messages, { connection = plain(), compression = "none" } = {}) => {
    const producer = driver.createProducer({ connection, compression });
    await producer.start();
    try {
      await producer.send(topic, messages);
    } finally {
      await producer.close();
    }
  };

// They wait more than they work, for sessions and for what is silent.
describe("both drivers", { concurrency: driverNames.length }, () => {
  for (const name of driverNames) describe(name, { concurrency: 3 }, () => contract(name));
});

function contract(name: DriverName): void {
  const driver = kafkaDrivers[name];
  const send = sendBy(driver);

  test("what is sent comes back: key, value, headers, time, and a tombstone as null", async () => {
    const { topic, group } = await newTopic();
    const headers = { kind: Buffer.from("text"), empty: Buffer.alloc(0) };
    await send(topic, [
      { key: Buffer.from("k"), value: Buffer.from("v"), headers, timestampMs: 1_700_000_000_123 },
      { key: Buffer.from("k"), value: null },
      { value: Buffer.alloc(0) },
    ]);
    const reader = await readTopic(driver, { connection: plain(), topic, group });
    const [first, second, third] = await reader.until(3);
    await reader.consumer.close();
    assert.deepEqual(
      [first?.key, first?.value, first?.timestampMs, first?.offset],
      ["k", "v", 1_700_000_000_123, 0],
    );
    assert.deepEqual(Object.fromEntries(first?.headers ?? []), { kind: "text", empty: "" });
    assert.deepEqual([second?.key, second?.value, third?.key, third?.value], ["k", null, null, ""]);
  });

  test("reading begins where it is told, and the group goes on where it was committed", async () => {
    const { topic, group } = await newTopic();
    await send(topic, numbered(10));
    const first = await readTopic(driver, { connection: plain(), topic, group, from: () => 4 });
    await first.until(6);
    assert.equal(first.records[0]?.value, "m4");
    assert.deepEqual(first.assignments[0]?.partitions, [
      { partition: 0, committed: undefined, low: 0, high: 10 },
    ]);
    const epoch = first.assignments[0]?.epoch ?? 0;
    await first.consumer.commit(epoch, new Map([[0, 7]]));
    assert.deepEqual([...(await first.consumer.ends())], [[0, 10]]);
    await first.consumer.close();
    assert.deepEqual(first.revoked, [epoch]);
    await assert.rejects(first.consumer.commit(epoch, new Map([[0, 9]])), { code: "failed_precondition" });
    const second = await readTopic(driver, { connection: plain(), topic, group });
    await second.until(3);
    assert.deepEqual([second.assignments[0]?.partitions[0]?.committed, second.records[0]?.value], [7, "m7"]);
    second.consumer.begin(second.assignments[0]?.epoch ?? 0, 0, 2);
    await second.until(11);
    assert.equal(second.records[3]?.value, "m2", "sought back");
    await second.consumer.close();
  });

  for (const compression of ["gzip", "snappy", "lz4", "zstd"] as const) {
    test(`${compression} is read and written`, async () => {
      const { topic, group } = await newTopic();
      const value = Buffer.from("a text that repeats itself, ".repeat(5_000));
      const sent = send(topic, [{ value }, { value: Buffer.from("small") }], { compression });
      if (compression === "zstd" && !("zstdCompressSync" in zlib)) {
        await assert.rejects(sent, { code: "unimplemented" });
        return;
      }
      await sent;
      // By the other one, since a mistake in both directions would undo itself.
      const other = kafkaDrivers[name === "kafkajs" ? "platformatic" : "kafkajs"];
      const reader = await readTopic(other, { connection: plain(), topic, group });
      const [large, small] = await reader.until(2);
      await reader.consumer.close();
      assert.equal(large?.value, value.toString());
      assert.equal(small?.value, "small");
    });
  }

  test("paused, nothing is handed out and the group keeps us; resumed, nothing is missing", async () => {
    const { topic, group } = await newTopic();
    const reader = await readTopic(driver, { connection: plain(), topic, group, sessionTimeoutMs: 4_000 });
    await send(topic, numbered(5));
    await reader.until(5);
    reader.consumer.pause();
    await send(topic, numbered(1, 5));
    // It may have been on its way.
    await systemClock.sleep(500);
    const before = reader.records.length;
    await send(topic, numbered(20, 6));
    // Longer than a session.
    await systemClock.sleep(4_500);
    assert.equal(reader.records.length, before);
    reader.consumer.resume();
    await reader.until(26);
    assert.deepEqual([reader.ended, reader.assignments.length], [[], 1]);
    assert.deepEqual(
      reader.records.map(({ value }) => value),
      numbered(26).map(({ value }) => String(value)),
    );
    await reader.consumer.close();
  });

  test("when another joins, what was read is committed first; the old epoch is fenced", async () => {
    const { topic, group } = await newTopic(2);
    await send(
      topic,
      numbered(10).map((message, at) => ({ ...message, partition: at % 2 })),
    );
    const connection = plain();
    const first = await readTopic(driver, {
      connection,
      topic,
      group,
      onRevoked: async ({ epoch, partitions }) => {
        // As in a service that waits for what is on its way.
        await systemClock.sleep(300);
        const offsets = new Map(partitions.map(({ partition }) => [partition, 5]));
        if (partitions.length === 2) await first.consumer.commit(epoch, offsets);
      },
    });
    await first.until(10);
    const firstEpoch = first.assignments[0]?.epoch ?? 0;
    const second = await readTopic(driver, { connection, topic, group });
    const shared = [first, second];
    await eventually(() => shared.every((one) => one.assignments.at(-1)?.partitions.length === 1), {
      what: "both have a partition",
    });
    const late = first.consumer.commit(firstEpoch, new Map([[0, 1]]));
    await assert.rejects(late, { code: "failed_precondition" });
    const [mine, theirs] = [first.assignments.at(-1)?.partitions, second.assignments.at(-1)?.partitions];
    assert.deepEqual([mine?.length, theirs?.length], [1, 1]);
    assert.deepEqual([mine?.[0]?.committed, theirs?.[0]?.committed], [5, 5]);
    await send(
      topic,
      [0, 1].map((partition) => ({ value: Buffer.from("more"), partition })),
    );
    const read = () => [...first.records, ...second.records];
    const partitionsOf = (value: string) =>
      new Set(read().flatMap((one) => (one.value === value ? [one.partition] : [])));
    await eventually(() => partitionsOf("more").size === 2, { what: "both partitions go on" });
    const old = read().filter(({ value }) => value !== "more");
    assert.equal(old.length, 10, "what was committed is not read again");
    await Promise.all([first.consumer.close(), second.consumer.close()]);
  });

  test("closed while it joins, it is no member any more and holds no partition", async () => {
    const { topic, group } = await newTopic(2);
    const of = { connection: plain(), topic, group, clock: systemClock };
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    let isRevoked = false;
    const first = await readTopic(driver, {
      ...of,
      onRevoked: () => {
        isRevoked = true;
        return held;
      },
    });
    await eventually(() => first.assignments.length === 1, { what: "the first has joined" });
    const second = driver.createConsumer({
      ...of,
      // No end of it helps.
      sessionTimeoutMs: 60_000,
      onAssigned: () => undefined,
      onRevoked: async () => undefined,
      onRecords: () => undefined,
      onEnded: () => undefined,
    });
    const starting = second.start().catch(() => undefined);
    await eventually(() => isRevoked, { what: "the first is to join again", deadlineMs: 60_000 });
    const closing = second.close();
    release();
    await Promise.all([starting, closing]);
    const holdsAll = () => first.assignments.length > 1 && first.assignments.at(-1)?.partitions.length === 2;
    await eventually(holdsAll, { what: "the first has all again", deadlineMs: 30_000 });
    await first.consumer.close();
  });

  test("a large message passes; one above the broker's limit is refused by name", async () => {
    const { topic, group } = await newTopic();
    const value = Buffer.alloc(3 * 1024 * 1024, "x");
    await send(topic, [{ value }]);
    const reader = await readTopic(driver, { connection: plain(), topic, group, fetchBytesMax: 65_536 });
    const [large] = await reader.until(1);
    await reader.consumer.close();
    assert.equal(large?.value?.length, value.length);
    await assert.rejects(send(topic, [{ value: Buffer.alloc(5 * 1024 * 1024) }]), {
      code: "invalid_argument",
      message: /size limit/,
    });
  });

  test("sends that overlap are all stored, none of them twice", async () => {
    const { topic, group } = await newTopic(2);
    const producer = driver.createProducer({ connection: plain() });
    await producer.start();
    const sends = Array.from({ length: 40 }, (_, at) =>
      producer.send(
        topic,
        numbered(10, at * 10).map((message) => ({ ...message, partition: at % 2 })),
      ),
    );
    await Promise.all(sends);
    await producer.close();
    const reader = await readTopic(driver, { connection: plain(), topic, group });
    const values = new Set((await reader.until(400)).map(({ value }) => value));
    await reader.consumer.close();
    assert.deepEqual([values.size, reader.records.length], [400, 400]);
  });

  test("a topic that does not exist is named, for reading and for writing", async () => {
    const missing = { connection: plain(), topic: "no-such-topic", group: "g" };
    await assert.rejects(readTopic(driver, missing), { code: "not_found", message: /no such topic/ });
    await assert.rejects(send("no-such-topic", numbered(1)), { code: "not_found" });
  });

  test("TLS: with the authority it is read, without it or in plain it is refused", async () => {
    const { topic, group } = await newTopic();
    const ca = await readFile(authority.caFile, "utf8");
    const tls: KafkaConnection = { bootstrapServers: [kafka.sslBootstrap], clientId: "t", tls: { ca } };
    await send(topic, numbered(1), { connection: tls });
    const reader = await readTopic(driver, { connection: tls, topic, group });
    await reader.until(1);
    await reader.consumer.close();
    await assert.rejects(readTopic(driver, { connection: { ...tls, tls: {} }, topic, group }), {
      code: "failed_precondition",
      message: /TLS/,
    });
  });

  for (const mechanism of ["plain", "scram-sha-256", "scram-sha-512"] as const) {
    test(`SASL ${mechanism}: the right password is taken, a wrong one told without its text`, async () => {
      const { topic, group } = await newTopic();
      const ca = await readFile(authority.caFile, "utf8");
      const connection: KafkaConnection = {
        bootstrapServers: [kafka.saslSslBootstrap],
        clientId: "t",
        tls: { ca },
        sasl: { mechanism, ...alice },
      };
      await send(topic, numbered(1), { connection });
      const reader = await readTopic(driver, { connection, topic, group });
      await reader.until(1);
      await reader.consumer.close();
      const sasl = { mechanism, username: "alice", password: "not-the-password" };
      const refused = readTopic(driver, { connection: { ...connection, sasl }, topic, group });
      await assert.rejects(refused, (error: Error) => {
        assert.equal((error as { code?: string }).code, "unauthenticated");
        assert.doesNotMatch(String(error), /not-the-password/);
        return true;
      });
    });
  }
}

test("where one of several partitions is refused at first, the others are not sent again", async () => {
  const producer = kafkaDrivers.platformatic.createProducer({ connection: plain() });
  await producer.start();
  const topic = "sent-at-once";
  // Its leader is named before it knows all of its partitions.
  await kafka.createTopic(topic, { partitions: 6, isAnswering: false });
  await producer.send(
    topic,
    numbered(60).map((message, at) => ({ ...message, partition: at % 6 })),
  );
  await producer.close();
  const reader = await readTopic(kafkaDrivers.kafkajs, { connection: plain(), topic, group: topic });
  await reader.until(60);
  const ends = [...(await reader.consumer.ends()).values()];
  await reader.consumer.close();
  assert.deepEqual(ends, [10, 10, 10, 10, 10, 10]);
});

test("a broker that goes away ends the readers; new ones go on when it is back", async () => {
  const send = sendBy(kafkaDrivers.kafkajs);
  const readers = await Promise.all(
    driverNames.map(async (name) => {
      const of = await newTopic();
      await send(of.topic, numbered(5));
      // Who comes back waits until its session is over.
      const sessionTimeoutMs = 3_000;
      const reader = await readTopic(kafkaDrivers[name], { connection: plain(), ...of, sessionTimeoutMs });
      await reader.until(5);
      await reader.consumer.commit(reader.assignments[0]?.epoch ?? 0, new Map([[0, 5]]));
      return { name, of, reader };
    }),
  );
  await kafka.kill();
  await Promise.all(
    readers.map(async ({ name, of, reader }) => {
      const away = readTopic(kafkaDrivers[name], { connection: plain(), ...of });
      await assert.rejects(away, { code: "unavailable" });
      const what = `${name} has ended`;
      await eventually(() => reader.ended.length > 0, { what, deadlineMs: 60_000 });
    }),
  );
  await kafka.start();
  await Promise.all(
    readers.map(async ({ name, of }) => {
      await send(of.topic, numbered(3, 5));
      const again = await readTopic(kafkaDrivers[name], { connection: plain(), ...of });
      const values = (await again.until(3)).map(({ value }) => value);
      await again.consumer.close();
      assert.deepEqual(values, ["m5", "m6", "m7"]);
    }),
  );
});

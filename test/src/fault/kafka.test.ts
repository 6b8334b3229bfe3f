import assert from "node:assert/strict";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { kafkaDrivers, type KafkaMessage } from "@millrace/kafka";
import { groupState } from "@millrace/kafka/testing";
import { createStreamProcessor, type SourceHandle, type StreamProcessor } from "@millrace/sdk";
import { findDuplicated, findLost, type KafkaServer, type Sent, startKafka } from "@millrace/testkit";
import { storedLines, until } from "../system/observe.js";
import { type FaultSystem, type ProgramName, startFaultSystem } from "./system/fault-system.js";
import { perLane, tellFull } from "./system/lane.js";

const alice = { username: "alice", password: "canary-password-7c1" };
const members: readonly ProgramName[] = ["ingestion", "ingestion-1", "ingestion-2"];
const partitions = 6;
/** A member is killed or ended, or comes back, so often. */
const changeEveryMs = 2_000;

const toLines = {
  enrichments: { embeddings: false, sentiment: false },
  outputs: {
    results: false,
    artifacts: false,
    search: false,
    events: false,
    storage: { format: "lines", rollAge: "500ms" },
  },
} as const;

describe("F15: Kafka sources while their group changes", () => {
  let kafka: KafkaServer;
  let system: FaultSystem;
  let secretsDir = "";
  before(async () => {
    const starting = startFaultSystem({
      thrice: ["ingestion"],
      configure: {
        ingestion: (config) => {
          Object.assign(config, { secretsDir, kafka: { sessionTimeoutMs: 6_000 } });
        },
      },
      prepare: async (stateDir) => {
        secretsDir = join(stateDir, "secrets");
        await mkdir(secretsDir);
        await writeFile(join(secretsDir, "kafka-password"), `${alice.password}\n`);
      },
    });
    [kafka, system] = await Promise.all([startKafka({ users: [alice] }), starting]);
  });
  after(async () => {
    await system.stop();
    await kafka.stop();
  });

  const openProducer = async (topicOfKafka: string) => {
    const producer = kafkaDrivers.platformatic.createProducer({
      connection: { bootstrapServers: [kafka.bootstrap], clientId: "test" },
    });
    await producer.start();
    return {
      send: (messages: readonly KafkaMessage[]) => producer.send(topicOfKafka, messages),
      close: () => producer.close(),
    };
  };

  const addSource = (processor: StreamProcessor, group: string, commit: "durable" | "out") =>
    processor.addKafkaSource({
      bootstrapServers: kafka.saslBootstrap,
      topic: group,
      consumerGroup: group,
      commit,
      sasl: { mechanism: "scram-sha-256", username: "alice", password: { secret: "kafka-password" } },
    });

  const untilCommitted = async (of: { topic: string; group: string }): Promise<[number, number][]> => {
    let offsets: [number, number][] = [];
    const isAll = async (): Promise<boolean> => {
      ({ offsets } = await groupState(kafka.bootstrap, of));
      return offsets.every(([committed, high]) => committed === high);
    };
    await until(isAll, "all is committed").catch((cause: unknown) => {
      throw new Error(`committed of all: ${JSON.stringify(offsets)}`, { cause });
    });
    return offsets;
  };

  const stopReading = async (source: SourceHandle): Promise<void> => {
    await source.pause();
    await until(async () => (await source.status()).state === "paused", "it is paused");
  };

  it("commits what is out only when every output has it, past what was refused", async () => {
    const [topic, group] = ["out", "out"];
    await kafka.createTopic(topic);
    const producer = await openProducer(topic);
    await producer.send([
      { key: Buffer.from("customer-1"), value: Buffer.from("first anna.meyer@example.com") },
      { value: null },
      { value: Buffer.from("third") },
    ]);
    await producer.close();
    await using processor = await createStreamProcessor("kafka-out", system.client, toLines);
    await system.program("output").end("SIGKILL");
    const source = await addSource(processor, group, "out");
    const isDurable = async () => (await source.status()).position.includes("0:3");
    await until(isDurable, "all is durable");
    // Who leaves the group commits what it may.
    await stopReading(source);
    const state = () => groupState(kafka.bootstrap, { topic, group });
    await until(async () => (await state()).members === 0, "nobody is left in the group");
    assert.deepEqual((await state()).offsets, [[0, 3]], "nothing is out");
    await system.program("output").start();
    await source.resume();
    await until(async () => (await storedLines(system, "kafka-out")).length === 2, "both are stored");
    assert.deepEqual(await storedLines(system, "kafka-out"), ["first [EMAIL]", "third"]);
    await untilCommitted({ topic, group });
    assert.equal((await processor.status()).conservation.dead, 1, "the one without a value");
  });

  it("loses and doubles nothing while members are killed, leave and come back", async (t) => {
    tellFull(t, "a storm of 60 s");
    const [topic, group] = ["storm", "storm"];
    const stormMs = perLane(8_000, 60_000);
    await kafka.createTopic(topic, { partitions });
    const producer = await openProducer(topic);
    await using processor = await createStreamProcessor("kafka-storm", system.client, toLines);
    await addSource(processor, group, "durable");
    const sent: Sent[] = [];
    const end = performance.now() + stormMs;
    const sending = (async () => {
      while (performance.now() < end) {
        const values = Array.from({ length: 60 }, (_, at) => `m${sent.length + at}`);
        await producer.send(
          values.map((value, at) => ({ value: Buffer.from(value), partition: at % partitions })),
        );
        for (const id of values) {
          sent.push({ id, source: topic, position: sent.length, content: id, acknowledged: true });
        }
        await sleep(60);
      }
    })();
    // One is still starting when the next one goes.
    const changes = members.map(() => Promise.resolve());
    let changed = 0;
    for (; performance.now() < end; changed++) {
      await sleep(changeEveryMs);
      const at = changed % members.length;
      const [member, isKilled] = [system.program(members[at] ?? "ingestion"), changed % 2 === 0];
      changes[at] = (changes[at] ?? Promise.resolve()).then(async () => {
        await member.end(isKilled ? "SIGKILL" : "SIGTERM");
        await member.start();
      });
    }
    await Promise.all([sending, ...changes]);
    await producer.close();
    const isThrough = async () => (await storedLines(system, "kafka-storm")).length >= sent.length;
    await until(isThrough, `${sent.length} messages are stored`, { timeoutMs: 60_000 });
    const conservation = async () => (await processor.status()).conservation;
    await until(async () => (await conservation()).inFlight === 0, "nothing is in flight");
    const { in: accepted, balanced } = await conservation();
    assert.deepEqual([accepted, balanced], [sent.length, true]);
    const offsets = await untilCommitted({ topic, group });
    const inTopic = offsets.reduce((sum, [, high]) => sum + high, 0);
    assert.equal(inTopic, sent.length, "what was sent is in Kafka once");
    const arrived = (await storedLines(system, "kafka-storm")).map((line) => ({ id: line, content: line }));
    const history = { sent, arrived };
    assert.deepEqual([findLost(history), findDuplicated(history)], [[], []]);
    t.diagnostic(`F15 ${sent.length} messages through ${changed} changes in ${stormMs} ms`);
  });

  it("tells the password to nobody", async () => {
    const folder = join(system.stateDir, "logs");
    for (const name of await readdir(folder)) {
      assert.ok(!(await readFile(join(folder, name), "utf8")).includes(alice.password), name);
    }
  });
});

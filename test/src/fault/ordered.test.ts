import assert from "node:assert/strict";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { createStreamProcessor } from "@millrace/sdk";
import { type Arrived, findDuplicated, findLost, findOutOfOrder, type Sent } from "@millrace/testkit";
import { startTestSystem, type TestSystem } from "../system/local-system.js";
import { storedLines, until } from "../system/observe.js";

const linesPerFile = 1_000;
const files = ["a", "b", "c", "d", "e"];

const toFiles = {
  enrichments: { embeddings: false, sentiment: false },
  outputs: {
    results: false,
    artifacts: false,
    search: false,
    events: false,
    storage: { format: "lines", rollAge: "500ms" },
  },
} as const;

const sentOf = (file: string): Sent[] =>
  Array.from({ length: linesPerFile }, (_, position) => {
    const content = `${file} ${position}`;
    return { id: content, source: file, position, content, acknowledged: true };
  });

describe("order and blocked streams, over the whole pipeline", () => {
  let system: TestSystem;
  before(async () => {
    system = await startTestSystem();
  });
  after(() => system.stop());

  const write = async (stream: string): Promise<string> => {
    const dir = join(system.inputDir, stream);
    await mkdir(dir);
    for (const file of files) {
      const lines = sentOf(file).map(({ content }) => content);
      await writeFile(join(dir, `${file}.jsonl`), `${lines.join("\n")}\n`);
    }
    return dir;
  };
  const arrivedAt = async (stream: string): Promise<Arrived[]> =>
    (await storedLines(system, stream)).map((line) => ({ id: line, content: line }));
  const sent = files.flatMap(sentOf);

  it("an ordered stream keeps each source's order while privacy and output are killed", async () => {
    const dir = await write("ordered");
    await using processor = await createStreamProcessor("ordered", system.client, {
      ...toFiles,
      batchSize: 20,
      ordered: true,
    });
    await processor.addFileSource({ path: dir, pattern: "*.jsonl", pollInterval: "50ms" });
    for (const [victim, share] of [
      ["privacy", 0.1],
      ["output", 0.4],
    ] as const) {
      const isUnderWay = async (): Promise<boolean> =>
        (await processor.status()).conservation.out >= share * sent.length;
      await until(isUnderWay, `${share} of all messages are out`);
      const pid = system.programs().find(({ name }) => name === victim)?.pid;
      assert.ok(pid !== undefined, `${victim} runs`);
      process.kill(pid, "SIGKILL");
    }
    await until(async () => (await arrivedAt("ordered")).length >= sent.length, "all are stored", {
      timeoutMs: 120_000,
    });
    const arrived = await arrivedAt("ordered");
    const history = { sent, arrived };
    assert.deepEqual([findLost(history), findDuplicated(history), findOutOfOrder(history)], [[], [], []]);
    // The checker sees one that is out of its place.
    const [first, second, ...rest] = arrived.filter(({ id }) => id.startsWith("a "));
    assert.ok(first !== undefined && second !== undefined);
    assert.deepEqual(findOutOfOrder({ sent, arrived: [second, first, ...rest] }), [first.id]);
  });

  it("a stream whose directory can't be written is parked, slows no other, and loses nothing", async () => {
    const dir = await write("blocked");
    const place = join(system.outputDir, "default", "blocked");
    await mkdir(join(system.outputDir, "default"), { recursive: true });
    // A file in the place of the directory: what even root can't write into.
    await writeFile(place, "");
    await using blocked = await createStreamProcessor("blocked", system.client, {
      ...toFiles,
      batchSize: 100,
    });
    await blocked.addFileSource({ path: dir, pattern: "*.jsonl", pollInterval: "50ms" });
    await until(async () => (await blocked.status()).conservation.in === sent.length, "all is accepted");
    const freeDir = await write("free");
    await using free = await createStreamProcessor("free", system.client, { ...toFiles, batchSize: 100 });
    await free.addFileSource({ path: freeDir, pattern: "*.jsonl", pollInterval: "50ms" });
    await until(async () => (await arrivedAt("free")).length === sent.length, "the other stream is stored");
    const waiting = (await blocked.status()).conservation;
    assert.deepEqual([waiting.out, waiting.dead, waiting.inFlight], [0, 0, sent.length]);
    await rm(place);
    await until(async () => (await arrivedAt("blocked")).length >= sent.length, "it is stored as well");
    const history = { sent, arrived: await arrivedAt("blocked") };
    assert.deepEqual([findLost(history), findDuplicated(history)], [[], []]);
    await until(async () => (await blocked.status()).conservation.inFlight === 0, "nothing is in flight");
  });
});

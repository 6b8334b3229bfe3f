import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { createStreamProcessor, type StreamProcessor } from "@millrace/sdk";
import { findAltered, findDuplicated, findLost } from "@millrace/testkit";
import { startTestSystem, type TestSystem } from "../system/local-system.js";
import { storedLines, until } from "../system/observe.js";

const messages = 5_000;
/** Read from a file; the others are published. */
const lines = 2_000;
/** After the publishing began: far too short for a fifth of it. */
const killWithinMs = 20;
/**
 * Small batches, so that thousands of messages are hundreds of batches, spread over every hop when the kill
 * comes.
 */
const batchSize = 10;

/** 40 MB in batches of 1 MB, whose bodies lie in segments of ingestion and of privacy. */
const bulkLines = 40_000;

const toFiles = {
  enrichments: { embeddings: false, sentiment: false },
  outputs: {
    results: false,
    artifacts: false,
    search: false,
    events: false,
    storage: { format: "lines", rollAge: "1s" },
  },
} as const;

/** Seeded, so that an unlucky moment can be had again (mulberry32). */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

describe("a kill loses nothing and doubles nothing", () => {
  let system: TestSystem;
  before(async () => {
    system = await startTestSystem();
  });
  after(() => system.stop());

  const cases = ["buffer", "privacy", "output"].flatMap((victim) =>
    [1, 2, 3].map((seed) => ({ victim, seed, signal: "SIGKILL" as const })),
  );
  const broker = [
    { victim: "nats-server", seed: 1, signal: "SIGTERM" as const },
    { victim: "nats-server", seed: 2, signal: "SIGKILL" as const },
  ];
  for (const { victim, seed, signal } of [...cases, ...broker]) {
    it(`${signal} of ${victim}, seed ${seed}`, async () => {
      const random = seeded(seed * 7919);
      const stream = `kill-${victim}-${seed}`;
      const dir = join(system.inputDir, stream);
      await mkdir(dir);
      const fromFile = Array.from({ length: lines }, (_, at) => `file ${at} of ${stream}`);
      const pushed = Array.from({ length: messages - lines }, (_, at) => `push ${at} of ${stream}`);
      await writeFile(join(dir, "input.jsonl"), `${fromFile.join("\n")}\n`);
      await using processor = await createStreamProcessor(stream, system.client, {
        ...toFiles,
        batchSize,
      });
      await processor.addFileSource({ path: dir, pattern: "*.jsonl", pollInterval: "50ms" });
      // Most messages are published only now, so more than half are unsettled when the kill comes.
      await untilOut(processor, random() * 0.9 * lines);
      const publishing = processor.publish(pushed.map((text) => ({ text })));
      await new Promise((resolve) => setTimeout(resolve, random() * killWithinMs));
      const pid = system.programs().find(({ name }) => name === victim)?.pid;
      assert.ok(pid !== undefined, `${victim} runs`);
      process.kill(pid, signal);
      await publishing;
      await until(
        async () => (await storedLines(system, stream)).length >= messages,
        `${messages} stored lines of ${stream}`,
      );
      await until(async () => (await statusSoon(processor)).conservation.inFlight === 0, "nothing in flight");
      const delivery = checkDelivery([...fromFile, ...pushed], await storedLines(system, stream));
      assert.deepEqual(delivery, { lost: [], repeated: [], foreign: [] });
      const counts = (await statusSoon(processor)).conservation;
      assert.deepEqual(
        [counts.in, counts.out, counts.dead, counts.dropped, counts.balanced],
        [messages, messages, 0, 0, true],
      );
    });
  }

  for (const victim of ["ingestion", "buffer", "privacy", "output"]) {
    it(`SIGKILL of ${victim} with bodies in segments`, async () => {
      const random = seeded(victim.length * 104_729);
      const stream = `segments-${victim}`;
      const dir = join(system.inputDir, stream);
      await mkdir(dir);
      const content = Array.from({ length: bulkLines }, (_, at) => `${at} of ${stream} `.padEnd(1_000, "x"));
      await writeFile(join(dir, "input.jsonl"), `${content.join("\n")}\n`);
      await using processor = await createStreamProcessor(stream, system.client, {
        ...toFiles,
        batchSize: 1_000,
      });
      await processor.addFileSource({ path: dir, pattern: "*.jsonl", pollInterval: "50ms" });
      await untilOut(processor, 0);
      await new Promise((resolve) => setTimeout(resolve, random() * 200));
      const pid = system.programs().find(({ name }) => name === victim)?.pid;
      assert.ok(pid !== undefined, `${victim} runs`);
      process.kill(pid, "SIGKILL");
      await until(
        async () => (await storedLines(system, stream)).length >= bulkLines,
        `${bulkLines} stored lines of ${stream}`,
      );
      await until(async () => (await statusSoon(processor)).conservation.inFlight === 0, "nothing in flight");
      const delivery = checkDelivery(content, await storedLines(system, stream));
      assert.deepEqual(delivery, { lost: [], repeated: [], foreign: [] });
      const counts = (await statusSoon(processor)).conservation;
      assert.deepEqual([counts.in, counts.out, counts.balanced], [bulkLines, bulkLines, true]);
    });
  }
});

/** What the checkers say of lines that name themselves: each is its own id. */
function checkDelivery(sent: readonly string[], arrived: readonly string[]) {
  const history = {
    sent: sent.map((line, position) => ({
      id: line,
      source: "",
      position,
      content: line,
      acknowledged: true,
    })),
    arrived: arrived.map((line) => ({ id: line, content: line })),
  };
  return { lost: findLost(history), repeated: findDuplicated(history), foreign: findAltered(history) };
}

async function untilOut(processor: StreamProcessor, messagesOut: number): Promise<void> {
  const isReached = async (): Promise<boolean> => {
    const { conservation } = await processor.status();
    return conservation.in > 0 && conservation.out >= messagesOut;
  };
  await until(isReached, `${Math.round(messagesOut)} messages out`);
}

/** The gateway answers as soon as what it asks is back. */
async function statusSoon(processor: StreamProcessor): ReturnType<StreamProcessor["status"]> {
  for (;;) {
    try {
      return await processor.status();
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

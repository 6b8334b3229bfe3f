import assert from "node:assert/strict";
import { appendFile, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { createStreamProcessor, type SourceHandle, type StreamProcessor } from "@millrace/sdk";
import { storedLines, until } from "../system/observe.js";
import { whenBusy } from "./system/bounds.js";
import { type FaultSystem, startFaultSystem } from "./system/fault-system.js";
import type { Program } from "./system/program.js";

/** In bulk frames, so that the holder is ended between segment and answer. */
const many = 20_000;
const failOverMs = 10_000;
const only = { results: false, artifacts: false, search: false, events: false } as const;
const plain = {
  enrichments: { embeddings: false, sentiment: false },
  outputs: { ...only, storage: { format: "lines", rollAge: "300ms" } },
} as const;

describe("a file source and two replicas of ingestion", () => {
  let system: FaultSystem;
  let processor: StreamProcessor;
  let source: SourceHandle;
  let file: string;
  const content: string[] = [];
  before(async () => {
    system = await startFaultSystem({ twice: ["ingestion"] });
    const dir = join(system.stateDir, "files");
    await mkdir(dir);
    file = join(dir, "input.jsonl");
    await append(10);
    processor = await createStreamProcessor("leased", system.client, plain);
    source = await processor.addFileSource({ path: dir, pattern: "*.jsonl", pollInterval: "50ms" });
    await untilIn();
  });
  after(async () => {
    await processor?.close();
    await system?.stop();
  });

  const append = async (count: number): Promise<void> => {
    const lines = Array.from({ length: count }, (_, at) => `line ${content.length + at} `.padEnd(1_000, "x"));
    content.push(...lines);
    await appendFile(file, `${lines.join("\n")}\n`);
  };
  const accepted = async (): Promise<number> => (await processor.status()).conservation.in;
  const untilIn = (): Promise<void> =>
    until(async () => (await accepted()) >= content.length, "all lines are taken", { timeoutMs: 100_000 });
  const untilStoredOnce = async (): Promise<void> => {
    await untilIn();
    await until(async () => (await processor.status()).conservation.inFlight === 0, "nothing in flight");
    // A part shows when it is rolled.
    await until(async () => (await storedLines(system, "leased")).length >= content.length, "all is stored");
    const stored = await storedLines(system, "leased");
    assert.equal(stored.length, content.length);
    assert.deepEqual(new Set(stored), new Set(content));
    const { conservation } = await processor.status();
    assert.deepEqual([conservation.in, conservation.balanced], [content.length, true]);
  };
  const holder = async (): Promise<Program> => {
    let name: string | undefined;
    await until(async () => {
      name = (await source.status()).holder;
      return name !== undefined;
    }, "a holder");
    return system.program(name === "1" ? "ingestion-1" : "ingestion");
  };
  /** Milliseconds until another replica takes lines of the source. */
  const failOver = async (end: (holding: Program) => Promise<unknown>): Promise<number> => {
    const before = await accepted();
    await append(many);
    await until(async () => (await accepted()) > before, "the first of many", { pollMs: 5 });
    const holding = await holder();
    await end(holding);
    const began = performance.now();
    // What it had sent is counted a moment later: from the other one come lines appended now.
    await append(10);
    await until(async () => (await holder()) !== holding, "another holder");
    await untilIn();
    return performance.now() - began;
  };

  it("the holder is killed: the other goes on in time, no line is lost or stored twice", async (t) => {
    let killed: Program | undefined;
    const tookMs = await failOver(async (holding) => (killed = holding).end("SIGKILL"));
    t.diagnostic(`fail-over after SIGKILL: ${Math.round(tookMs)} ms`);
    assert.ok(tookMs < whenBusy(failOverMs), `${tookMs} ms`);
    await untilStoredOnce();
    await killed?.start();
  });

  it("the holder is stopped and comes back: it neither repeats nor overtakes", async (t) => {
    let stopped: Program | undefined;
    const tookMs = await failOver(async (holding) => (stopped = holding).signal("SIGSTOP"));
    t.diagnostic(`fail-over after SIGSTOP: ${Math.round(tookMs)} ms`);
    assert.ok(tookMs < whenBusy(failOverMs), `${tookMs} ms`);
    stopped?.signal("SIGCONT");
    await append(many);
    await untilStoredOnce();
    assert.notEqual(await holder(), stopped);
    await until(async () => (await stopped?.isReady()) === true, "it is ready again");
  });

  it("the holder ends cleanly: the other goes on at once", async (t) => {
    let ended: Program | undefined;
    const tookMs = await failOver(async (holding) => (ended = holding).end("SIGTERM"));
    t.diagnostic(`hand-over: ${Math.round(tookMs)} ms`);
    assert.ok(tookMs < whenBusy(3_000), `${tookMs} ms`);
    await ended?.start();
    await untilStoredOnce();
  });

  it("a pause stops it where it is, whoever resumes reads on, and a removed one reads no more", async () => {
    await source.pause();
    assert.equal((await source.status()).state, "paused");
    await append(10);
    // Long enough for a scan of either replica.
    await new Promise((resolve) => setTimeout(resolve, 500));
    assert.equal(await accepted(), content.length - 10);
    await source.resume();
    await untilStoredOnce();
    const { state, position, lagBytes } = await source.status();
    assert.deepEqual([state, lagBytes], ["running", 0]);
    assert.match(position, /^\d+ bytes of 1 file$/);
    await source.remove();
    await assert.rejects(source.status(), { code: "not_found" });
    await assert.rejects(source.pause(), { code: "not_found", field: "id" });
  });

  it("each replica has its share of many sources, and a failing one is told once", async () => {
    const failed: string[] = [];
    processor.onEvent("source_failed", ({ payload }) => void failed.push(payload.source));
    const dirs = Array.from({ length: 4 }, (_, at) => join(system.stateDir, `many-${at}`));
    for (const dir of dirs.slice(1)) await mkdir(dir);
    // The first one has no directory.
    const sources: SourceHandle[] = [];
    for (const path of dirs) sources.push(await processor.addFileSource({ path, pollInterval: "50ms" }));
    await until(async () => {
      const states = await Promise.all(sources.map((one) => one.status()));
      return new Set(states.map(({ holder: name }) => name)).size === 2 && states[0]?.state === "failed";
    }, "both read");
    await until(() => failed.length > 0, "the failure is told");
    const [first] = sources;
    const state = await first?.status();
    assert.match(state?.lastError ?? "", /many-0/);
    // Whoever reads it next finds it told.
    await system.program(state?.holder === "1" ? "ingestion-1" : "ingestion").end("SIGTERM");
    await until(
      async () => ((await first?.status())?.holder ?? state?.holder) !== state?.holder,
      "the other",
    );
    await mkdir(dirs[0] ?? "");
    await until(async () => (await first?.status())?.state === "running", "it heals");
    assert.deepEqual(failed, [first?.id]);
    assert.deepEqual(system.unasked(), []);
  });
});

import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { createStreamProcessor } from "@millrace/sdk";
import { startTestSystem, type TestSystem } from "../system/local-system.js";
import { storedLines, until } from "../system/observe.js";

/** 60 MB in bulk frames. */
const lines = 60_000;

describe("a writer that is stopped for longer than its lease", () => {
  let system: TestSystem;
  before(async () => {
    system = await startTestSystem();
  });
  after(() => system.stop());

  /** Segments that buffer has leased on the raw side. */
  const leases = async (): Promise<number | undefined> => {
    const answer = await fetch(`http://127.0.0.1:${system.described.ports.http.buffer}/metrics`);
    const found = /^millrace_segment_leases\{[^}]*side="raw"[^}]*\} (\d+)$/m.exec(await answer.text());
    return found === null ? undefined : Number(found[1]);
  };

  it("commits nothing under it, and every message arrives once", async () => {
    const dir = join(system.inputDir, "stopped");
    await mkdir(dir);
    const content = Array.from({ length: lines }, (_, at) => `line ${at} `.padEnd(1_000, "x"));
    await writeFile(join(dir, "input.jsonl"), `${content.join("\n")}\n`);
    await using processor = await createStreamProcessor("stopped", system.client, {
      enrichments: { embeddings: false, sentiment: false },
      outputs: {
        results: false,
        artifacts: false,
        search: false,
        events: false,
        storage: { format: "lines", rollAge: "1s" },
      },
    });
    await processor.addFileSource({ path: dir, pattern: "*.jsonl", pollInterval: "50ms" });
    await until(async () => (await processor.status()).conservation.in > 0, "the first messages");
    const pid = system.programs().find(({ name }) => name === "ingestion")?.pid;
    assert.ok(pid !== undefined, "ingestion runs");
    process.kill(pid, "SIGSTOP");
    const { in: taken } = (await processor.status()).conservation;
    assert.ok(taken < lines, "it was stopped in the middle");
    // Told each second, and held for ten: first it is seen, then it ends.
    await until(async () => ((await leases()) ?? 0) > 0, "its leases");
    await until(async () => (await leases()) === 0, "the end of its leases");
    process.kill(pid, "SIGCONT");
    await until(async () => (await storedLines(system, "stopped")).length >= lines, `${lines} stored lines`, {
      timeoutMs: 120_000,
    });
    await until(async () => (await processor.status()).conservation.inFlight === 0, "nothing in flight");
    const stored = await storedLines(system, "stopped");
    assert.equal(stored.length, lines);
    assert.deepEqual(new Set(stored), new Set(content));
    assert.equal((await processor.status()).conservation.balanced, true);
  });
});

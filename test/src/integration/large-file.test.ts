import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { crc32 } from "node:zlib";
import { createStreamProcessor } from "@millrace/sdk";
import { startTestSystem, type TestSystem } from "../system/local-system.js";
import { until } from "../system/observe.js";

describe("a large file of a stream's file source", () => {
  let system: TestSystem;
  before(async () => {
    system = await startTestSystem();
  });
  after(() => system.stop());

  it("goes to its handler in mapped chunks, and line by line through the pipeline", async () => {
    const dir = join(system.inputDir, "large");
    await mkdir(dir);
    const lines = Array.from({ length: 4_000 }, (_, at) => `${at} ${"to paula@example.com, ".repeat(40)}`);
    const content = Buffer.from(`${lines.join("\n")}\n`);
    await writeFile(join(dir, "one.jsonl"), content);
    await writeFile(join(dir, "small.jsonl"), "a small file has one line\n");

    await using processor = await createStreamProcessor("large", system.client, {
      enrichments: { embeddings: false, sentiment: false },
      outputs: { results: true, artifacts: false, search: false, events: false },
    });
    const handed: { path: string; size: number; sum: number; chunks: number; dataPath: string }[] = [];
    await using handler = processor.onLargeFile(
      async (file) => {
        let [sum, chunks] = [0, 0];
        for await (const { bytes } of file.iterChunks({ chunkSize: "1MB" })) {
          sum = crc32(bytes, sum);
          chunks += 1;
        }
        const { path, size, dataPath } = file;
        handed.push({ path, size, sum, chunks, dataPath });
      },
      { minSize: "1MB", pollInterval: "100ms" },
    );
    await handler.ready;
    assert.deepEqual(handed, [], "no source is there yet");
    await processor.addFileSource({ path: dir, pollInterval: "100ms" });

    await until(() => handed.length === 1, "the large file at its handler");
    const out = async (): Promise<number> => (await processor.status()).conservation.out;
    await until(async () => (await out()) === 4_001, "all lines of both files");
    assert.deepEqual(handed, [
      {
        path: join(dir, "one.jsonl"),
        size: content.length,
        sum: crc32(content),
        chunks: Math.ceil(content.length / 1_000_000),
        dataPath: "mapped",
      },
    ]);
    const { files, dataPath } = await processor.status();
    assert.equal(files.dataPath, "mapped");
    assert.match(dataPath, /^mapped: .*; privacy so far: [1-9]\d* bytes mapped/);
  });
});

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { appendFileSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import type { HandlerContext } from "../receive/runner.js";
import { MillraceError } from "../rpc/millrace-error.js";
import { createStreamProcessor, type StreamProcessor } from "../stream/processor.js";
import { startGateway } from "../test-gateway/gateway.js";
import type { LargeFileOptions } from "./find-large-files.js";
import type { MappedFile } from "./mapped-file.js";

const look = { minSize: "100KB", pollInterval: "50ms" } as const;

async function setUp(t: TestContext) {
  const dir = mkdtempSync(join(tmpdir(), "millrace-found-"));
  const gateway = await startGateway();
  const told: [unknown, HandlerContext][] = [];
  const processor = await createStreamProcessor("live", gateway.connect(), {
    onError: (error, context) => {
      told.push([error, context]);
      gateway.changed();
    },
  });
  t.after(async () => {
    await processor.close();
    await gateway[Symbol.asyncDispose]();
    rmSync(dir, { recursive: true, force: true });
  });
  const write = (name: string, bytes: number, letter = "x"): string => {
    writeFileSync(join(dir, name), Buffer.alloc(bytes, letter));
    return join(dir, name);
  };
  return { dir, gateway, processor, told, write };
}

/** Hands over to a list of path, size, and the first letter of each chunk. */
function collect(
  { processor, gateway }: Awaited<ReturnType<typeof setUp>>,
  options: LargeFileOptions,
): { handler: ReturnType<StreamProcessor["onLargeFile"]>; got: [string, number, string][] } {
  const got: [string, number, string][] = [];
  const handler = processor.onLargeFile(async (file) => {
    let letters = "";
    for await (const { bytes } of file.iterChunks({ chunkSize: "64KB" })) {
      letters += String.fromCharCode(bytes[0] ?? 0);
    }
    got.push([file.path, file.size, letters]);
    gateway.changed();
  }, options);
  return { handler, got };
}

test("files that are there and files that come are handed over once, small ones are not", async (t) => {
  const bench = await setUp(t);
  const { dir, gateway, write } = bench;
  const first = write("first.bin", 130_000, "a");
  write("small.bin", 99_999);
  const { got } = collect(bench, { ...look, path: dir, pattern: "*.bin" });
  await gateway.until(() => got.length === 1);
  write("other.txt", 200_000);
  const second = write("second.bin", 100_000, "b");
  await gateway.until(() => got.length === 2);
  assert.deepEqual(got, [
    [first, 130_000, "aaa"],
    [second, 100_000, "bb"],
  ]);
});

test("a file that is replaced is another one; one that is renamed or appended to is not", async (t) => {
  const bench = await setUp(t);
  const { dir, gateway, write } = bench;
  const path = write("a.bin", 100_000, "a");
  const { got } = collect(bench, { ...look, path: dir });
  await gateway.until(() => got.length === 1);
  renameSync(path, join(dir, "b.bin"));
  appendFileSync(join(dir, "b.bin"), Buffer.alloc(64_000, "x"));
  renameSync(write(".new", 100_000, "c"), path);
  await gateway.until(() => got.length === 2);
  assert.deepEqual(got[1], [path, 100_000, "cc"]);
  // A third one is found after at least two more looks: the others were seen again in them.
  write("third.bin", 100_000, "d");
  await gateway.until(() => got.length === 3);
  assert.deepEqual(got[2]?.[2], "dd");
});

test("a file that grows is handed over when it rests, whole", async (t) => {
  const bench = await setUp(t);
  const { dir, gateway, write } = bench;
  const { handler, got } = collect(bench, { ...look, path: dir, pollInterval: "200ms" });
  await handler.ready;
  const path = write("growing.bin", 150_000);
  for (let n = 0; n < 20; n++) {
    appendFileSync(path, Buffer.alloc(10_000, "x"));
    await new Promise((resolve) => setImmediate(resolve));
  }
  await gateway.until(() => got.length === 1);
  assert.deepEqual(got[0]?.slice(0, 2), [path, 350_000]);
});

test("without a path the directories of the stream's file sources are looked through", async (t) => {
  const bench = await setUp(t);
  const { dir, gateway, processor, write } = bench;
  const { got } = collect(bench, look);
  write("no.txt", 100_000);
  const path = write("yes.jsonl", 100_000);
  await processor.addFileSource({ path: dir, pattern: "*.jsonl" });
  await gateway.until(() => got.length === 1);
  assert.deepEqual(got, [[path, 100_000, "xx"]]);
});

test("a handler that throws is told with the file, which is closed, and stops nothing", async (t) => {
  const bench = await setUp(t);
  const { dir, gateway, processor, told, write } = bench;
  const path = write("a.bin", 100_000);
  const files: MappedFile[] = [];
  processor.onLargeFile(
    (file) => {
      files.push(file);
      throw new Error("mine");
    },
    { ...look, path: dir },
  );
  await gateway.until(() => told.length === 1);
  assert.deepEqual(told[0]?.[1], { file: path });
  await assert.rejects(async () => await files[0]?.iterChunks().next(), { code: "failed_precondition" });
  write("b.bin", 100_000);
  await gateway.until(() => told.length === 2);
  assert.equal(files.length, 2);
});

test("a directory that is not there is told once, and looked through when it is", async (t) => {
  const bench = await setUp(t);
  const { dir, gateway, told } = bench;
  const path = join(dir, "later");
  const { got, handler } = collect(bench, { ...look, path });
  await handler.ready;
  await gateway.until(() => told.length === 1);
  const [error, context] = told[0] ?? [];
  assert.ok(error instanceof MillraceError);
  assert.deepEqual([error.code, context], ["not_found", { file: path }]);
  mkdirSync(path);
  // A pipe and a directory of that name are no large files.
  execFileSync("mkfifo", [join(path, "pipe")]);
  mkdirSync(join(path, "directory"));
  writeFileSync(join(path, "file"), Buffer.alloc(100_000));
  await gateway.until(() => got.length === 1);
  assert.equal(told.length, 1);
});

test("a handler that is stopped gets nothing any more", async (t) => {
  const bench = await setUp(t);
  const { dir, write } = bench;
  const { handler, got } = collect(bench, { ...look, path: dir });
  await handler.stop();
  write("a.bin", 100_000);
  assert.deepEqual(got, []);
});

test("bad options are refused by name", async (t) => {
  const { processor } = await setUp(t);
  const refused: [string, object][] = [
    ["minSize", { minSize: 0 }],
    ["minSize", { minSize: "64" }],
    ["path", { path: "" }],
    ["pattern", { pattern: "*.bin" }],
    ["pattern", { path: tmpdir(), pattern: "../*" }],
    ["pollInterval", { pollInterval: "10ms" }],
    ["size", { size: 1 }],
  ];
  for (const [field, options] of refused) {
    assert.throws(() => processor.onLargeFile(() => undefined, options), { code: "invalid_argument", field });
  }
  const noFunction = "no function" as unknown as () => void;
  assert.throws(() => processor.onLargeFile(noFunction), { field: "handler" });
});

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { appendFile, mkdir, rename, rm, symlink, unlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { CodedError } from "@millrace/errors";
import { compilePattern, scanDirectory } from "@millrace/files";
import { checkFileSource } from "./file-source.js";
import { defaultFrameLimits } from "./lines/line-framer.js";
import { createPool, eventually, setUp } from "./testing.js";

test("files are read in the order of their names, to their ends", async (t) => {
  const { source, path, appended, texts } = await setUp(t, { filesInFlightMax: 1 });
  await writeFile(path("b.jsonl"), "b1\nb2\n");
  await writeFile(path("a.jsonl"), "a1\n");
  await writeFile(path("c.txt"), "other\n");
  await writeFile(path("empty.jsonl"), "");
  assert.equal(source.drained(), false);
  source.start();
  await eventually("drained", () => source.drained());
  assert.deepEqual(texts(), ["a1\n", "b1\nb2\n"]);
  assert.deepEqual(
    appended.map(({ name }) => name),
    ["a.jsonl", "b.jsonl"],
  );
  assert.deepEqual(source.status(), {
    state: "running",
    position: "9 bytes of 3 files",
    files: 3,
    lagBytes: 0,
    lagMessages: 0,
    lagSeconds: 0,
    lastError: undefined,
  });
});

test("lines appended while polling follow, and nothing is read twice", async (t) => {
  const { source, path, appended, texts } = await setUp(t, { settleMs: Number.MAX_SAFE_INTEGER });
  await writeFile(path("a.jsonl"), "1\n");
  source.start();
  await eventually("the first line", () => appended.length === 1);
  await appendFile(path("a.jsonl"), "2\n3");
  await eventually("the second line", () => texts().includes("2\n"));
  await appendFile(path("a.jsonl"), "3\n");
  await eventually("all", () => source.drained() && texts().join("") === "1\n2\n33\n");
});

test("a new source resumes where buffer says", async (t) => {
  const { source, create, path, appended, texts } = await setUp(t);
  await writeFile(path("a.jsonl"), "1\n2\n");
  source.start();
  await eventually("drained", () => source.drained());
  await source.close();
  await appendFile(path("a.jsonl"), "3\n");
  const next = create();
  next.start();
  await eventually("drained again", () => next.drained());
  await next.close();
  assert.deepEqual(texts(), ["1\n2\n", "3\n"]);
  assert.equal(appended[1]?.from, 4);
});

test("a renamed file goes on and a new file under its old name starts anew", async (t) => {
  const { source, path, appended } = await setUp(t);
  await writeFile(path("a.jsonl"), "old 1\n");
  source.start();
  await eventually("the first line", () => appended.length === 1);
  await rename(path("a.jsonl"), path("b.jsonl"));
  await appendFile(path("b.jsonl"), "old 2\n");
  await writeFile(path("a.jsonl"), "new 1\n");
  await eventually("three lines", () => appended.length === 3);
  const byText = new Map(appended.map((entry) => [entry.text, entry]));
  assert.equal(byText.get("old 2\n")?.from, 6);
  assert.equal(byText.get("old 2\n")?.key, byText.get("old 1\n")?.key);
  assert.equal(byText.get("new 1\n")?.from, 0);
  assert.notEqual(byText.get("new 1\n")?.key, byText.get("old 1\n")?.key);
});

test("what can't be read is told and stops no other file", async (t) => {
  const { source, path, directory, texts } = await setUp(t);
  await mkdir(path("a.jsonl"));
  await symlink(join(directory, "nothing"), path("b.jsonl"));
  execFileSync("mkfifo", [path("c.jsonl")]);
  await writeFile(path("d.jsonl"), "1\n");
  source.start();
  await eventually("drained", () => source.drained());
  assert.deepEqual(texts(), ["1\n"]);
  const { state, lastError } = source.status();
  assert.equal(state, "running");
  assert.match(lastError ?? "", /a\.jsonl is not a regular file.*Narrow the pattern/);
  await rm(path("a.jsonl"), { recursive: true });
  await unlink(path("b.jsonl"));
  await unlink(path("c.jsonl"));
  await eventually("no error", () => source.status().lastError === undefined);
});

test("an incomplete last line is appended once the file has rested", async (t) => {
  const { source, path, sleeps, appended } = await setUp(t);
  await writeFile(path("a.jsonl"), "1\n2");
  source.start();
  await eventually("drained", () => source.drained());
  assert.deepEqual(
    appended.map(({ from, to, text }) => [from, to, text]),
    [
      [0, 2, "1\n"],
      [2, 3, "2\n"],
    ],
  );
  assert.ok(sleeps.filter((ms) => ms === 1000).length >= 5, "5 s of rest");
});

test("an oversize line is rejected in its place, also one that never ends", async (t) => {
  const frames = { ...defaultFrameLimits, messageBytesMax: 8 };
  const { source, path, buffer, texts } = await setUp(t, { frames });
  await writeFile(path("a.jsonl"), `1\n${"x".repeat(20)}\n2\n${"y".repeat(10)}`);
  source.start();
  await eventually("drained", () => source.drained());
  assert.deepEqual(texts(), ["1\n", "2\n"]);
  assert.deepEqual(buffer.rejected, [
    [2, 23],
    [25, 35],
  ]);
});

test("a refused append is sent again with the same boundaries until it is taken", async (t) => {
  const { source, path, buffer, sleeps, texts } = await setUp(t, {
    frames: { ...defaultFrameLimits, countMax: 2 },
    appendsInFlightMax: 1,
  });
  let refusals = 0;
  buffer.refuse = () =>
    refusals++ < 4 ? new CodedError("resource_exhausted", "the stream is full") : undefined;
  await writeFile(path("a.jsonl"), "1\n2\n3\n");
  source.start();
  await eventually("the refusal", () => source.status().lastError !== undefined);
  assert.equal(source.status().state, "waiting");
  // The file grows meanwhile: what was framed stays as it was.
  await appendFile(path("a.jsonl"), "4\n");
  await eventually("drained", () => source.drained() && texts().join("") === "1\n2\n3\n4\n");
  assert.deepEqual(new Set(buffer.attempts.slice(0, 5)), new Set(["a.jsonl:0-4"]));
  assert.deepEqual(sleeps.filter((ms) => ms !== 1000).slice(0, 4), [75, 150, 300, 600]);
  assert.equal(source.status().lastError, undefined);
});

test("full streams keep no other source from going on, and hold a bounded number of blocks", async (t) => {
  const pool = createPool(6);
  const lines = `${"x".repeat(1023)}\n`.repeat(20 << 10);
  const open = async () => {
    const opened = await setUp(t, {}, { pool });
    for (const name of ["a.jsonl", "b.jsonl"]) await writeFile(opened.path(name), lines);
    return opened;
  };
  const full = await Promise.all([open(), open(), open(), open()]);
  for (const { buffer, source } of full) {
    buffer.refuse = () => new CodedError("resource_exhausted", "the stream is full");
    source.start();
    await eventually("refused", () => source.status().state === "waiting");
  }
  const healthy = await Promise.all([open(), open()]);
  for (const { source } of healthy) source.start();
  for (const { source, texts } of healthy) {
    await eventually("drained", () => source.drained());
    assert.equal(texts().join("").length, 2 * lines.length);
  }
  for (const { appended, source } of full) {
    assert.equal(source.status().state, "waiting");
    assert.equal(appended.length, 0);
  }
  const blocks = new Set([...full, ...healthy].flatMap(({ buffer }) => [...buffer.bodies]));
  assert.ok(blocks.size <= 6 + 6, `${blocks.size} blocks: six of all, one of each source`);
  for (const { buffer } of full) buffer.refuse = () => undefined;
  for (const { source, texts } of full) {
    await eventually("drained once there is room", () => source.drained());
    assert.equal(texts().join("").length, 2 * lines.length);
  }
});

test("an append that fails for another reason fails the source, which tries again slowly", async (t) => {
  const { source, path, buffer, sleeps, texts } = await setUp(t);
  let isCreated = false;
  buffer.refuse = () =>
    isCreated ? undefined : new CodedError("not_found", "there is no stream lines", { remedy: "Create it." });
  await writeFile(path("a.jsonl"), "1\n");
  source.start();
  await eventually("failed", () => source.status().state === "failed");
  assert.match(source.status().lastError ?? "", /there is no stream lines. Create it./);
  isCreated = true;
  await eventually("drained", () => source.drained());
  assert.deepEqual(texts(), ["1\n"]);
  assert.ok(sleeps.includes(22_500), "30 s, jittered");
  assert.equal(source.status().state, "running");
});

test("closing during the pause after a refusal ends it and sends nothing more", async (t) => {
  const { source, path, buffer, appended } = await setUp(t);
  buffer.refuse = () => new CodedError("unavailable", "buffer is away");
  await writeFile(path("a.jsonl"), "1\n");
  source.start();
  await eventually("the refusal", () => source.status().lastError !== undefined);
  await source.close();
  const attempts = buffer.attempts.length;
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(buffer.attempts.length, attempts);
  assert.equal(appended.length, 0);
  assert.equal(source.drained(), false);
});

test("a file that vanished is finished", async (t) => {
  const { source, path } = await setUp(t);
  await writeFile(path("a.jsonl"), "1\n");
  source.start();
  await eventually("drained", () => source.drained());
  await unlink(path("a.jsonl"));
  await eventually("forgotten", () => source.status().files === 0);
  assert.deepEqual(source.status(), {
    state: "running",
    position: "0 bytes of 0 files",
    files: 0,
    lagBytes: 0,
    lagMessages: 0,
    lagSeconds: 0,
    lastError: undefined,
  });
});

test("a directory that vanishes fails the source until it is back", async (t) => {
  const { source, path, directory, texts } = await setUp(t);
  source.start();
  await eventually("a first scan", () => source.drained());
  await rename(directory, `${directory}-away`);
  await eventually("failed", () => source.status().state === "failed");
  assert.match(source.status().lastError ?? "", /cannot be resolved/);
  await rename(`${directory}-away`, directory);
  await writeFile(path("a.jsonl"), "1\n");
  await eventually("the line", () => texts().includes("1\n"));
  assert.equal(source.status().state, "running");
});

test("directories are followed as deep as the pattern reaches, links are not", async (t) => {
  const { directory } = await setUp(t);
  await mkdir(join(directory, "x", "y"), { recursive: true });
  await writeFile(join(directory, "x", "y", "b.jsonl"), "");
  await writeFile(join(directory, "x", "a.jsonl"), "");
  await symlink(directory, join(directory, "x", "loop"));
  const names = async (pattern: string, filesMax = 10) => {
    const scan = await scanDirectory(directory, compilePattern(pattern), { entriesMax: 100, filesMax });
    return { names: scan.found.map(({ name }) => name), errors: scan.errors.map(({ code }) => code) };
  };
  assert.deepEqual(await names("*/*.jsonl"), { names: ["x/a.jsonl"], errors: [] });
  assert.deepEqual(await names("**/*.jsonl"), { names: ["x/a.jsonl", "x/y/b.jsonl"], errors: [] });
  assert.deepEqual(await names("**/*.jsonl", 1), { names: ["x/a.jsonl"], errors: ["resource_exhausted"] });
});

test("settings that can't work are refused when a source is added", async (t) => {
  const { directory } = await setUp(t);
  const refused = (code: string) => (error: unknown) => error instanceof CodedError && error.code === code;
  await checkFileSource({ path: directory, pattern: "*", roots: [tmpdir()] });
  await assert.rejects(
    checkFileSource({ path: directory, pattern: "[", roots: [tmpdir()] }),
    refused("invalid_argument"),
  );
  await assert.rejects(
    checkFileSource({ path: "/", pattern: "*", roots: [directory] }),
    refused("permission_denied"),
  );
});

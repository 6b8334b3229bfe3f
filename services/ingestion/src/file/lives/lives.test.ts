import assert from "node:assert/strict";
import { appendFile, copyFile, rename, truncate, writeFile } from "node:fs/promises";
import test from "node:test";
import { watchDirectory } from "../watch-directory.js";
import { eventually, setUp } from "../testing.js";

test("a log that is rotated by renaming, under append, is read once, line by line", async (t) => {
  const { source, path, texts, appended } = await setUp(t, {}, { pattern: "app.log*" });
  source.start();
  const wanted: string[] = [];
  for (let rotation = 0; rotation < 5; rotation++) {
    for (let index = 0; index < 40; index++) {
      const line = `rotation ${rotation} line ${index}\n`;
      wanted.push(line);
      await appendFile(path("app.log"), line);
    }
    await rename(path("app.log"), path(`app.log.${rotation}`));
  }
  await eventually("all lines", () => texts().join("").length === wanted.join("").length);
  assert.deepEqual(texts().join("").split("\n").sort(), wanted.join("").split("\n").sort());
  assert.equal(new Set(appended.map(({ key }) => key)).size, 5);
});

test("a file that is cut and written anew is read from its start, also after a restart", async (t) => {
  const { source, create, path, texts, buffer, appended } = await setUp(t);
  await writeFile(path("a.jsonl"), "first\nsecond\nthird\n");
  source.start();
  await eventually("drained", () => source.drained());
  // copytruncate: the copy is not matched.
  await copyFile(path("a.jsonl"), path("a.1"));
  await truncate(path("a.jsonl"), 0);
  await eventually(
    "seen",
    () => source.status().lagBytes === 0 && source.status().position === "0 bytes of 1 file",
  );
  await appendFile(path("a.jsonl"), "first\n");
  await eventually("its new start", () => texts().length === 2);
  assert.notEqual(appended[1]?.key, appended[0]?.key, "another life, though it begins in the same way");
  await source.close();
  await appendFile(path("a.jsonl"), "more\n");
  const again = create();
  again.start();
  await eventually("drained", () => again.drained());
  await again.close();
  assert.deepEqual(texts(), ["first\nsecond\nthird\n", "first\n", "more\n"]);
  assert.equal(appended[2]?.key, appended[1]?.key);
  // While nobody reads: cut, and longer than before by now. It begins in another way.
  await truncate(path("a.jsonl"), 0);
  await appendFile(path("a.jsonl"), `${"later ".repeat(10)}\n`);
  const third = create();
  t.after(() => third.close());
  third.start();
  await eventually("the later one", () => texts().length === 4);
  assert.deepEqual(buffer.reasons, []);
  assert.equal(texts()[3], `${"later ".repeat(10)}\n`);
});

test("a first line that was taken without its end doubles nothing when it goes on", async (t) => {
  const { source, create, path, texts } = await setUp(t);
  await writeFile(path("a.jsonl"), "be");
  source.start();
  await eventually("taken at rest", () => texts().length === 1);
  await appendFile(path("a.jsonl"), "gin\nsecond\n");
  await eventually("the rest", () => source.drained() && texts().length === 2);
  await source.close();
  const again = create();
  t.after(() => again.close());
  again.start();
  await eventually("drained", () => again.drained());
  assert.deepEqual(texts(), ["be\n", "gin\nsecond\n"]);
});

test("an empty file that is written later, and a restart, double nothing", async (t) => {
  const { source, create, path, texts, sleeps } = await setUp(t);
  await writeFile(path("a.jsonl"), "");
  source.start();
  await eventually("long at rest", () => sleeps.length > 20);
  await appendFile(path("a.jsonl"), "one\n");
  await eventually("read", () => texts().length === 1);
  await source.close();
  const again = create();
  t.after(() => again.close());
  again.start();
  await eventually("drained", () => again.drained());
  assert.deepEqual(texts(), ["one\n"]);
});

test("a change is seen before the next poll where the system tells of it", async (t) => {
  const { directory, path } = await setUp(t);
  let changes = 0;
  const watch = watchDirectory(directory, () => changes++);
  t.after(() => watch?.close());
  assert.ok(watch !== undefined);
  await writeFile(path("a.jsonl"), "one\n");
  await eventually("told", () => changes > 0);
  assert.equal(
    watchDirectory(path("nothing"), () => undefined),
    undefined,
  );
});

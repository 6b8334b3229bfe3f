import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import test, { type TestContext } from "node:test";
import { eachLine, lineCharsMax } from "./lines.js";
import { openLogFile } from "./log-file.js";

test("lines are appended to what an earlier run wrote", (t) => {
  const folder = place(t);
  for (const line of ["first run", "second run"]) {
    const file = openLogFile({ folder, name: "buffer", onError: assert.fail });
    file.write(line);
    file.close();
  }
  assert.equal(readFileSync(join(folder, "buffer.log"), "utf8"), "first run\nsecond run\n");
});

test("a full file is put aside, and the one before it is dropped", (t) => {
  const folder = place(t);
  const file = openLogFile({ folder, name: "buffer", onError: assert.fail, fileBytesMax: 100 });
  for (let i = 0; i < 50; i++) file.write(`line ${String(i).padStart(3, "0")}`);
  file.close();
  assert.match(readFileSync(join(folder, "buffer.log"), "utf8"), /line 049\n$/);
  assert.ok(statSync(join(folder, "buffer.log.1")).size <= 110);
});

test("a folder that cannot be written is told once and stops nothing", (t) => {
  const folder = join(place(t), "file");
  writeFileSync(folder, "");
  const errors: string[] = [];
  const file = openLogFile({ folder, name: "buffer", onError: (error) => errors.push(error.message) });
  file.write("one");
  file.write("two");
  assert.equal(errors.length, 1);
});

test("bytes become lines wherever they are cut, the last one also without an end", async () => {
  const readable = new PassThrough();
  const lines: string[] = [];
  eachLine(readable, (line) => lines.push(line));
  for (const byte of Buffer.from("ä line\nnext\n\nlast")) readable.write(Buffer.of(byte));
  readable.end();
  await new Promise((resolve) => readable.once("end", resolve));
  assert.deepEqual(lines, ["ä line", "next", "", "last"]);
});

test("a line without an end is cut at its bound", async () => {
  const readable = new PassThrough();
  const lines: string[] = [];
  eachLine(readable, (line) => lines.push(line));
  for (let i = 0; i < 5; i++) readable.write("x".repeat(lineCharsMax));
  readable.end();
  await new Promise((resolve) => readable.once("end", resolve));
  assert.deepEqual(
    lines.map((line) => line.length),
    [lineCharsMax],
  );
});

function place(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "millrace-logs-"));
  t.after(() => rmSync(folder, { recursive: true }));
  return folder;
}

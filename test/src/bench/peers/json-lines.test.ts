import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import { addFile, addLine, difference, emptySum } from "../pipeline/line-sum.js";
import { lineOfJson } from "./json-lines.js";

const lines = ['{"seq":1,"text":"a \\"quoted\\" word"}', "plain", ""];

test("lines that an engine stores in objects of JSON have the sum of the lines themselves", async (t) => {
  const dir = await mkdtemp(join(tmpdir(), "millrace-json-lines-"));
  t.after(() => rm(dir, { recursive: true }));
  const path = join(dir, "out");
  const expected = emptySum();
  for (const line of lines) addLine(expected, Buffer.from(line));
  const sumOf = async (stored: readonly string[]) => {
    await writeFile(path, stored.map((line) => `${JSON.stringify({ line, diff: 1, time: 7 })}\n`).join(""));
    const sum = emptySum();
    await addFile(sum, path, new AbortController().signal, lineOfJson);
    return sum;
  };
  assert.equal(difference(expected, await sumOf(lines)), undefined);
  assert.match(difference(expected, await sumOf([...lines.slice(1), "other"])) ?? "", /bytes|other lines/);
  assert.match(difference(expected, await sumOf(lines.slice(1))) ?? "", /2 lines instead of 3/);
});

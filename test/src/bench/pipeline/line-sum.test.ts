import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import { addFile, addLine, addSum, difference, emptySum, type LineSum, timesSum } from "./line-sum.js";

const lines = ["one", "two", "", "three"];
const signal = new AbortController().signal;

function sumOf(of: readonly string[]): LineSum {
  const sum = emptySum();
  for (const line of of) addLine(sum, Buffer.from(line));
  return sum;
}

test("the order of lines does not matter", () => {
  assert.equal(difference(sumOf(lines), sumOf(lines.toReversed())), undefined);
});

test("one byte changed, a line lost and a line repeated are seen", () => {
  assert.match(difference(sumOf(lines), sumOf(["one", "twp", "", "three"])) ?? "", /other lines/);
  assert.match(difference(sumOf(lines), sumOf(lines.slice(1))) ?? "", /3 lines instead of 4/);
  assert.match(difference(sumOf(lines), sumOf(["one", "one", "", "three"])) ?? "", /other lines/);
  assert.match(difference(sumOf(["ab", "c"]), sumOf(["ab", "cd"])) ?? "", /bytes/);
});

test("two lines that are each there twice do not cancel out", () => {
  assert.match(difference(sumOf(["one", "one"]), sumOf(["two", "two"])) ?? "", /other lines/);
});

test("sums of parts add up to the sum of the whole", () => {
  const sum = sumOf(lines.slice(0, 1));
  addSum(sum, sumOf(lines.slice(1)));
  assert.equal(difference(sumOf(lines), sum), undefined);
});

test("the sum of a loop is that of its lines, as often", () => {
  const looped = sumOf(Array.from({ length: 1_001 }, () => lines).flat());
  assert.equal(difference(timesSum(sumOf(lines), 1_001), looped), undefined);
  assert.notEqual(difference(timesSum(sumOf(lines), 1_000), looped), undefined);
});

test("a file is summed by its lines, and one changed byte in it is seen", async (t) => {
  const dir = await mkdtemp(join(tmpdir(), "millrace-line-sum-"));
  t.after(() => rm(dir, { recursive: true }));
  const path = join(dir, "lines");
  const many = Array.from({ length: 20_000 }, (_, at) => `${at} ${"x".repeat(at % 700)}`);
  await writeFile(path, `${many.join("\n")}\n`);
  const sum = emptySum();
  await addFile(sum, path, signal);
  assert.equal(difference(sumOf(many), sum), undefined);

  const bytes = await readFile(path);
  bytes[bytes.length - 2] = 0x79;
  await writeFile(path, bytes);
  const mutant = emptySum();
  await addFile(mutant, path, signal);
  assert.match(difference(sumOf(many), mutant) ?? "", /other lines/);
});

test("a file that ends in the middle of a line is refused", async (t) => {
  const dir = await mkdtemp(join(tmpdir(), "millrace-line-sum-"));
  t.after(() => rm(dir, { recursive: true }));
  await writeFile(join(dir, "lines"), "one\ntw");
  await assert.rejects(addFile(emptySum(), join(dir, "lines"), signal), /middle of a line/);
});

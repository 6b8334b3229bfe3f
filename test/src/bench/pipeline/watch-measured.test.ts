import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { watchMeasured } from "./watch-measured.js";

let stateDir = "";
before(async () => {
  stateDir = await mkdtemp(join(tmpdir(), "millrace-measured-"));
  await mkdir(join(stateDir, "run"));
  await writeFile(join(stateDir, "run", "bench.pid"), JSON.stringify({ pid: process.pid }));
});
after(() => rm(stateDir, { recursive: true }));

const samples = [10, 40, 55, 90, 100].map((stored, at) => ({ ms: 100 * at, stored }));

test("what is measured begins and ends with the first sample that reaches each bound", () => {
  const use = watchMeasured(stateDir, { from: 40, to: 60 });
  for (const sample of samples) use.see(sample);
  const { first, last, byProcess } = use.stop();
  assert.deepEqual([first, last], [samples[1], samples[3]]);
  assert.ok((byProcess.get("bench")?.rssAnonMb ?? 0) > 1);
});

test("without a warm-up it begins at once", () => {
  const before = performance.now();
  const use = watchMeasured(stateDir, { from: 0, to: 100 });
  for (const sample of samples) use.see(sample);
  const { first, last } = use.stop();
  assert.equal(first.stored, 0);
  assert.ok(first.ms >= before);
  assert.deepEqual(last, samples[4]);
});

test("what was never stored is no figure", () => {
  const use = watchMeasured(stateDir, { from: 40, to: 101 });
  for (const sample of samples) use.see(sample);
  assert.throws(() => use.stop(), { code: "internal", message: /101 messages/ });
});

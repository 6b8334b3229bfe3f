import assert from "node:assert/strict";
import test from "node:test";
import type { Sent } from "@millrace/testkit";
import { idOf, judgeRun, percentile } from "./delivery.js";

const ids = Array.from({ length: 200 }, (_, number) => idOf(number));
const sent: Sent[] = ids.map((id, position) => ({
  id,
  source: "a",
  position,
  content: id,
  acknowledged: true,
}));
const run = { sent, stored: ids, latencies: ids.map(() => 10) };
const bounds = { p99Ms: 2_000, acknowledgedMin: 200 };

test("a run in which all arrived once and in time is passed", () => {
  assert.deepEqual(judgeRun(run, bounds), []);
  const unknown = sent.map((one, at) => (at === 0 ? { ...one, acknowledged: false } : one));
  assert.deepEqual(judgeRun({ ...run, sent: unknown }, { ...bounds, acknowledgedMin: 199 }), []);
});

test("each way in which a run can be bad is found", () => {
  const late = run.latencies.map((_, at) => (at < 3 ? 2_001 : 10));
  const mutants: [Partial<typeof run>, RegExp][] = [
    [{ stored: ids.slice(1) }, /aaaaaa was acknowledged and is not in the store/],
    [{ stored: [...ids, ids[7] ?? ""] }, /aaaaah stands in the store more than once/],
    [{ stored: [...ids, "zzzzzz"] }, /zzzzzz was never sent/],
    [{ sent: sent.map((one) => ({ ...one, acknowledged: false })) }, /0 were acknowledged/],
    [{ latencies: [] }, /nothing arrived/],
    [{ latencies: late }, /p99 is 2001 ms/],
  ];
  for (const [mutant, found] of mutants) {
    const wrong = judgeRun({ ...run, ...mutant }, bounds);
    assert.equal(wrong.length, 1, wrong.join("\n"));
    assert.match(wrong[0] ?? "", found);
  }
});

test("ids are letters and differ; percentiles go by nearest rank", () => {
  const many = Array.from({ length: 2_000 }, (_, number) => idOf(number * 1_000));
  assert.equal(new Set(many).size, many.length);
  assert.ok(many.every((id) => /^[a-z]{6}$/.test(id)));
  assert.equal(percentile([3, 1, 2], 0.5), 2);
  assert.equal(percentile([], 0.5), 0);
});

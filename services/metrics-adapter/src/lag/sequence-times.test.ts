import assert from "node:assert/strict";
import { test } from "node:test";
import { createSequenceTimes } from "./sequence-times.js";

test("a number was the highest until the sample before it was passed", () => {
  const times = createSequenceTimes();
  for (const [at, seq] of [
    [0, 5],
    [1, 7],
    [2, 7],
    [3, 9],
  ] as const)
    times.record(at, seq);
  assert.deepEqual(
    [4, 5, 6, 7, 8, 9, 99].map((seq) => times.lastAtOrBelow(seq)),
    [undefined, 0, 0, 2, 2, 3, 3],
  );
});

test("a long history is bounded, and errs to greater ages only", () => {
  const times = createSequenceTimes();
  for (let at = 0; at < 20_000; at++) times.record(at, at);
  for (const seq of [15_000, 19_000, 19_999]) {
    const at = times.lastAtOrBelow(seq) ?? 0;
    assert.ok(at <= seq && seq - at <= 20_000 - seq, `${seq} at ${at}`);
  }
  assert.equal(times.lastAtOrBelow(19_999), 19_999);
});

test("a stream that was made anew forgets the numbers before", () => {
  const times = createSequenceTimes();
  times.record(0, 100);
  times.record(1, 3);
  assert.equal(times.lastAtOrBelow(100), 1);
  assert.equal(times.lastAtOrBelow(2), undefined);
});

import assert from "node:assert/strict";
import test from "node:test";
import { slowestRate, type StoredSample } from "./rates.js";

/** 100 messages each 100 ms, but for the stretches in which nothing is stored. */
function samples(seconds: number, stalled: (ms: number) => boolean): StoredSample[] {
  let stored = 0;
  return Array.from({ length: seconds * 10 + 1 }, (_, at) => {
    const ms = at * 100;
    if (at > 0 && !stalled(ms)) stored += 100;
    return { ms, stored };
  });
}

test("a steady rate is the same in the slowest stretch", () => {
  const steady = samples(30, () => false);
  assert.equal(slowestRate(steady, 10_000), 1000);
});

test("a stall of half a stretch halves the slowest", () => {
  const stalled = samples(100, (ms) => ms > 40_000 && ms <= 45_000);
  assert.equal(slowestRate(stalled, 10_000), 500);
});

test("a run that is shorter than the stretch is its own stretch, and none has no rate", () => {
  assert.equal(
    slowestRate(
      samples(3, () => false),
      10_000,
    ),
    1000,
  );
  assert.equal(slowestRate([], 10_000), 0);
  assert.equal(slowestRate([{ ms: 5, stored: 9 }], 10_000), 0);
});

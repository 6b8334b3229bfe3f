import assert from "node:assert/strict";
import { test } from "node:test";
import { createReturns } from "./returns.js";

function setUp() {
  const clock = { now: 0, monotonic: () => clock.now };
  return { clock, returns: createReturns(clock) };
}

test("what is given back comes again in a moment, a few at a time, in order", () => {
  const { returns } = setUp();
  const delays = Array.from({ length: 400 }, () => returns.delayMs("s"));
  assert.equal(delays[0], 500);
  assert.deepEqual(
    delays,
    delays.toSorted((a, b) => a - b),
  );
  const byMoment = new Map<number, number>();
  for (const delay of delays) byMoment.set(delay, (byMoment.get(delay) ?? 0) + 1);
  assert.ok(Math.max(...byMoment.values()) <= 34, "400 at once would be a crowd");
  assert.ok((delays.at(-1) ?? 0) <= 1_800, `the last after ${delays.at(-1)} ms`);
  assert.equal(returns.delayMs("other"), 500, "a stream waits for its own only");
});

test("nothing is kept for longer than half a minute, and a stream that was long away is a new one", () => {
  const { clock, returns } = setUp();
  for (let n = 0; n < 20_000; n++) returns.delayMs("s");
  assert.equal(returns.delayMs("s"), 30_000);
  clock.now = 100_050;
  assert.equal(returns.delayMs("s"), 550);
});

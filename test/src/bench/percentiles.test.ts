import assert from "node:assert/strict";
import test from "node:test";
import { percentile, summarise } from "./percentiles.js";

test("a percentile is a number that was measured, by nearest rank", () => {
  const sorted = Array.from({ length: 100 }, (_, at) => at + 1);
  assert.equal(percentile(sorted, 0.5), 50);
  assert.equal(percentile(sorted, 0.99), 99);
  assert.equal(percentile(sorted, 1), 100);
  assert.equal(percentile([7], 0.99), 7);
  assert.equal(percentile([], 0.99), 0);
});

test("numbers are put in order as numbers", () => {
  assert.deepEqual(summarise([10, 9, 100]), { count: 3, p50: 10, p90: 100, p99: 100, p999: 100, max: 100 });
});

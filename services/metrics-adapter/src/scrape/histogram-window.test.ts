import assert from "node:assert/strict";
import { test } from "node:test";
import { createSearchTimes, sumGauge } from "./pod-metrics.js";
import { findSamples } from "./prometheus-text.js";

const name = "millrace_search_duration_seconds";
/** Searches of 1, 10 and 100 ms at most, and longer ones. */
const pod = (fast: number, medium: number, slow: number, over = 0): string =>
  [
    `# HELP ${name} Of searches.`,
    `${name}_bucket{le="0.001",service="s"} ${fast}`,
    `${name}_bucket{le="0.01",service="s"} ${fast + medium}`,
    `${name}_bucket{le="0.1",service="s"} ${fast + medium + slow}`,
    `${name}_bucket{le="+Inf",service="s"} ${fast + medium + slow + over}`,
    `${name}_count{service="s"} ${fast + medium + slow + over}`,
  ].join("\n");

test("p99 is that of what was added in the last minute, over all pods", () => {
  const times = createSearchTimes();
  times.add(0, new Map([["a", pod(0, 0, 1_000)]]));
  assert.throws(() => times.p99Ms(), /scraped only once/);
  times.add(1_000, new Map([["a", pod(98, 0, 1_000)]]));
  assert.ok(times.p99Ms() <= 1);
  times.add(
    2_000,
    new Map([
      ["a", pod(98, 0, 1_000)],
      ["b", pod(7, 7, 7)],
    ]),
  );
  times.add(
    3_000,
    new Map([
      ["a", pod(98, 0, 1_000)],
      ["b", pod(7, 9, 7)],
    ]),
  );
  // The 99th of 100 is the first of the two that took up to 10 ms.
  assert.equal(Math.round(times.p99Ms() * 1000), 5_500);
  // A minute later nobody searches any more.
  for (let at = 4; at <= 70; at++)
    times.add(
      at * 1000,
      new Map([
        ["a", pod(98, 0, 1_000)],
        ["b", pod(7, 9, 7)],
      ]),
    );
  assert.equal(times.p99Ms(), 0);
});

test("a pod that began anew counts from then on, and what lies above all bounds is told as the last", () => {
  const times = createSearchTimes();
  times.add(0, new Map([["a", pod(500, 0, 0)]]));
  times.add(1_000, new Map([["a", pod(1, 0, 0)]]));
  assert.throws(() => times.p99Ms(), /scraped only once/);
  times.add(2_000, new Map([["a", pod(1, 0, 0, 5)]]));
  assert.equal(times.p99Ms(), 100);
});

test("a gauge is summed over pods, and one that does not tell it makes the sum unknown", () => {
  const told = `open{instance="a b,\\"c\\""} 3`;
  assert.deepEqual(findSamples(told, "open"), [{ labels: { instance: 'a b,"c"' }, value: 3 }]);
  assert.equal(
    sumGauge(
      new Map([
        ["a", told],
        ["b", "open 4 1700000000000\nopened 9"],
      ]),
      "open",
    ),
    7,
  );
  assert.throws(
    () =>
      sumGauge(
        new Map([
          ["a", told],
          ["b", "opened 9"],
        ]),
        "open",
      ),
    /pod at b does not tell open/,
  );
});

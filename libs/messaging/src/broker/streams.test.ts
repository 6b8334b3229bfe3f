import assert from "node:assert/strict";
import { test } from "node:test";
import { buckets, parkedStream, streamPlans } from "./streams.js";

const shareOf = (name: string): number => streamPlans.find((plan) => plan.name === name)?.share ?? 0;

test("the streams and buckets fit the store", () => {
  const all = streamPlans.reduce((sum, plan) => sum + plan.share, 0) + 0.02 * Object.keys(buckets).length;
  assert.ok(all < 1, `${all}`);
});

test("PARKED is no smaller than the least of the streams that bound a quota", () => {
  assert.ok(shareOf(parkedStream) >= Math.min(...["RAW", "CLEAN", "ENRICHED"].map(shareOf)));
});

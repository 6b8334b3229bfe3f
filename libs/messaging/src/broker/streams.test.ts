import assert from "node:assert/strict";
import { test } from "node:test";
import { bucketShares, parkedStream, streamPlans } from "./streams.js";

const shareOf = (name: string): number => streamPlans.find((plan) => plan.name === name)?.share ?? 0;

test("the streams and buckets fit the store", () => {
  const all = [...streamPlans.map(({ share }) => share), ...Object.values(bucketShares)].reduce(
    (sum, share) => sum + share,
    0,
  );
  assert.ok(all < 1, `${all}`);
});

test("PARKED is no smaller than the least of the streams that bound a quota", () => {
  assert.ok(shareOf(parkedStream) >= Math.min(...["RAW", "CLEAN", "ENRICHED"].map(shareOf)));
});

import assert from "node:assert/strict";
import test from "node:test";
import { missingBatches } from "./missing-batches.js";

const stored = { first: 5, last: 12, deleted: new Set([8, 9]) };

test("nothing is gone where the place's own message is still stored", () => {
  assert.equal(missingBatches({ seq: 7, index: "end" }, 10, stored), 0);
});

test("nothing is gone where all in between is stored, as the results of others", () => {
  assert.equal(missingBatches({ seq: 4, index: "end" }, 8, stored), 0);
  assert.equal(missingBatches({ seq: 9, index: "end" }, 12, stored), 0);
});

test("else what is gone in between is counted", () => {
  assert.equal(missingBatches({ seq: 1, index: "end" }, 6, stored), 3);
  assert.equal(missingBatches({ seq: 1, index: "end" }, 13, stored), 5);
  assert.equal(missingBatches({ seq: 8, index: "end" }, 10, stored), 1);
});

test("a message that was read in part and is gone counts too", () => {
  assert.equal(missingBatches({ seq: 3, index: 2 }, 5, stored), 2);
});

test("the message at a place that was only a beginning tells nothing", () => {
  assert.equal(missingBatches({ seq: 7, index: "gap" }, 10, stored), 2);
});

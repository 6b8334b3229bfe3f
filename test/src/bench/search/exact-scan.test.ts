import assert from "node:assert/strict";
import test from "node:test";
import { exactNearest, recallOf } from "./exact-scan.js";

const set = {
  dimensions: 2,
  ids: ["east", "north", "north-east", "west"],
  vectors: Float32Array.of(1, 0, 0, 1, Math.SQRT1_2, Math.SQRT1_2, -1, 0),
};

test("the nearest come first, and no more than asked for", () => {
  assert.deepEqual(exactNearest(set, Float32Array.of(0.8, 0.6), 3), ["north-east", "east", "north"]);
  assert.deepEqual(exactNearest(set, Float32Array.of(-1, 0), 9), ["west", "north", "north-east", "east"]);
});

test("recall is the share of the exact ones that was found", () => {
  assert.equal(recallOf(["a", "b", "c", "d"], ["d", "x", "a"]), 0.5);
});

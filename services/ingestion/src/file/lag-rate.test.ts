import assert from "node:assert/strict";
import { test } from "node:test";
import { createLagRate } from "./lag-rate.js";

test("bytes behind are messages by their mean length, and seconds by the speed of late", () => {
  let nowMs = 0;
  const rate = createLagRate(() => nowMs);
  assert.deepEqual(rate.read({ appendedBytes: 0, lagBytes: 0 }), { lagMessages: 0, lagSeconds: 0 });
  rate.note(10, 1_000);
  nowMs = 10_000;
  assert.deepEqual(rate.read({ appendedBytes: 1_000, lagBytes: 500 }), { lagMessages: 5, lagSeconds: 5 });
  // Nothing moves: it is behind for as long as that lasts.
  nowMs = 50_000;
  rate.read({ appendedBytes: 1_000, lagBytes: 500 });
  nowMs = 60_000;
  assert.equal(rate.read({ appendedBytes: 1_000, lagBytes: 500 }).lagSeconds, 50);
});

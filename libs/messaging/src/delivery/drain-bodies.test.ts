import assert from "node:assert/strict";
import { test } from "node:test";
import { createLogger } from "@millrace/runtime";
import { eventually, testRuntime } from "@millrace/runtime/testing";
import { drainBodies } from "./drain-bodies.js";

test("a stop waits until nobody refers to a body any more, over all publishers", async () => {
  const held = [2, 1];
  const publishers = held.map((_, at) => ({ heldBodies: () => held[at] ?? 0 }));
  const drain = drainBodies(publishers, testRuntime());
  let isOver = false;
  const stopping = drain.stop?.(new AbortController().signal).then(() => (isOver = true));
  for (const at of [0, 1]) {
    assert.equal(isOver, false);
    held[at] = 0;
  }
  await eventually(() => isOver, { what: "the stop ends" });
  await stopping;
});

test("what is left when the time for it ends is told, and kept for the next life", async () => {
  const told: unknown[] = [];
  const log = { ...createLogger("x", "0", "error"), warn: (...line: unknown[]) => void told.push(line) };
  const hard = AbortSignal.timeout(50);
  await drainBodies([{ heldBodies: () => 3 }], testRuntime({ log })).stop?.(hard);
  assert.deepEqual(told, [["bodies can't be read until this process is back", { bodies: 3 }]]);
});

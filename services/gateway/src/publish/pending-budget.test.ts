import assert from "node:assert/strict";
import { test } from "node:test";
import { Lane } from "@millrace/proto/batch";
import { createPendingBudget } from "./pending-budget.js";

const stream = (name: string, lane = Lane.LANE_BATCH) => ({ tenant: "default", stream: name, lane });

/** Takes in steps of 1 for as long as there is room. */
function fill(budget: ReturnType<typeof createPendingBudget>, name: string): number {
  let taken = 0;
  for (; budget.hasRoom(stream(name)); taken++) budget.take(stream(name), 1);
  return taken;
}

test("streams that give nothing back leave room for the next one", () => {
  const budget = createPendingBudget(1_000);
  assert.deepEqual(
    ["a", "b", "c", "d"].map((name) => fill(budget, name)),
    [500, 250, 125, 63],
  );
  assert.throws(() => budget.take(stream("a"), 1), { code: "resource_exhausted" });
  budget.take(stream("e"), 5);
});

test("a batch lane that is full leaves room for the high lane of its stream", () => {
  const budget = createPendingBudget(1_000);
  fill(budget, "a");
  assert.equal(budget.hasRoom(stream("a")), false);
  assert.equal(budget.hasRoom(stream("a", Lane.LANE_HIGH)), true);
  budget.take(stream("a", Lane.LANE_HIGH), 1);
});

test("what is given back is room again, for whoever had it and for the others", async () => {
  const budget = createPendingBudget(100);
  fill(budget, "a");
  fill(budget, "b");
  const changed = budget.change(new AbortController().signal);
  budget.give(stream("a"), 50);
  await changed;
  assert.equal(budget.bytes(), 25);
  assert.deepEqual([budget.hasRoom(stream("a")), budget.hasRoom(stream("b"))], [true, true]);
  budget.give(stream("b"), 25);
  assert.deepEqual([budget.bytes(), fill(budget, "c")], [0, 50]);
});

test("one message larger than all of it is let in alone", () => {
  const budget = createPendingBudget(100);
  budget.take(stream("a"), 1_000);
  assert.deepEqual([budget.hasRoom(stream("a")), budget.hasRoom(stream("b"))], [false, false]);
});

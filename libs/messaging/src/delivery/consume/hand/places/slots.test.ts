import assert from "node:assert/strict";
import { test } from "node:test";
import { createSlots } from "./slots.js";

const slotsOf = (parallelism: Record<string, number>, inFlightMax = 4) =>
  createSlots({
    clock: { sleep: () => new Promise(() => {}) },
    inFlightMax,
    parallelismOf: (stream) => parallelism[stream] ?? inFlightMax,
    onRoom: () => {},
  });

test("a stream has as many deliveries in hand as it may, and others go on", async () => {
  const slots = slotsOf({ narrow: 1 });
  await slots.enter("narrow");
  const entered: string[] = [];
  void slots.enter("narrow").then(() => entered.push("narrow"));
  await slots.enter("wide").then(() => entered.push("wide"));
  assert.deepEqual(entered, ["wide"]);
  assert.equal(slots.room(), 2, "a held one takes no place");
  slots.leave("narrow");
  await Promise.resolve();
  assert.deepEqual(entered, ["wide", "narrow"]);
  assert.equal(slots.room(), 2);
});

test("what is on trial leaves its place to others, in its stream too", async () => {
  const slots = slotsOf({ narrow: 1 }, 1);
  await slots.enter("narrow");
  assert.equal(slots.room(), 0);
  slots.stepAside("narrow");
  // As many may be on trial as in hand: each holds its bytes.
  assert.equal(slots.room(), 0);
  const wide = slotsOf({}, 2);
  await wide.enter("a");
  wide.stepAside("a");
  assert.equal(wide.room(), 2);
  wide.stepBack("a");
  assert.equal(wide.room(), 1);
});

test("no more are held than a bound, and a close lets none of them in", async () => {
  const slots = slotsOf({ narrow: 1 });
  await slots.enter("narrow");
  const held = Array.from({ length: 64 }, () => slots.enter("narrow"));
  assert.equal(slots.room(), 0);
  slots.close();
  assert.deepEqual(new Set(await Promise.all(held)), new Set(["closed"]));
});

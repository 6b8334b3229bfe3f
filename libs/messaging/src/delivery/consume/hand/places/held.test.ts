import assert from "node:assert/strict";
import { test } from "node:test";
import { createHeld, type Entry, heldMax } from "./held.js";

const standMs = 2_000;

function setUp() {
  let pass = (): void => undefined;
  const slept: number[] = [];
  const sleep = (ms: number): Promise<void> => {
    slept.push(ms);
    return new Promise((resolve) => (pass = resolve));
  };
  let told = 0;
  const held = createHeld({ clock: { sleep }, onRoom: () => (told += 1) });
  const entries: Record<string, (Entry | undefined)[]> = {};
  const hold = (stream: string, count: number): void => {
    const of = (entries[stream] ??= []);
    for (let n = 0; n < count; n++) {
      const at = of.push(undefined) - 1;
      void held.hold(stream).then((as) => (of[at] = as));
    }
  };
  const stand = async (): Promise<void> => {
    pass();
    await new Promise((resolve) => setImmediate(resolve));
  };
  const countOf = (stream: string, as: Entry): number =>
    (entries[stream] ?? []).filter((each) => each === as).length;
  return { held, hold, stand, slept, countOf, entries, told: () => told };
}

test("a full hold that stands has its longest queues thinned, the youngest first", async () => {
  const { held, hold, stand, slept, countOf, entries, told } = setUp();
  hold("slow", 60);
  assert.deepEqual(slept, []);
  hold("short", 4);
  assert.deepEqual(slept, [standMs]);
  await stand();
  assert.equal(held.count(), 32);
  assert.deepEqual([countOf("slow", "later"), countOf("short", "later")], [32, 0]);
  assert.deepEqual(entries.slow?.slice(0, 28), Array(28).fill(undefined), "the oldest stay");
  assert.equal(told(), 1);
  hold("slow", 10);
  hold("other", 10);
  await stand();
  assert.deepEqual([countOf("slow", "later"), countOf("other", "later")], [42, 0]);
});

test("a thinned stream is held as before when half of what it kept has gone on", async () => {
  const { held, hold, stand, countOf } = setUp();
  hold("slow", heldMax);
  await stand();
  for (let n = 0; n < 15; n++) held.goOn("slow");
  hold("slow", 16);
  await stand();
  assert.equal(countOf("slow", "later"), 33, "one more than it kept");
  for (let n = 0; n < 16; n++) held.goOn("slow");
  hold("slow", 20);
  await stand();
  assert.deepEqual([countOf("slow", "later"), countOf("slow", "works")], [33, 31]);
});

test("a stream that goes on, however slowly for 64, keeps all that is held", async () => {
  const { held, hold, stand, slept, countOf } = setUp();
  hold("bulk", heldMax);
  for (let round = 1; round <= 3; round++) {
    for (let n = 0; n < 8; n++) {
      held.goOn("bulk");
      hold("bulk", 1);
    }
    await stand();
    assert.equal(slept.length, round + 1);
  }
  assert.equal(countOf("bulk", "later"), 0);
  for (let n = 0; n < 7; n++) {
    held.goOn("bulk");
    hold("bulk", 1);
  }
  await stand();
  assert.equal(countOf("bulk", "later"), 32);
});

test("many streams with little each are thinned to a part of them", async () => {
  const { held, hold, stand } = setUp();
  for (let n = 0; n < heldMax; n++) hold(`s${n}`, 1);
  await stand();
  assert.equal(held.count(), 32);
  hold("s0", 1);
  hold(`s${heldMax - 1}`, 1);
  assert.ok(held.count() > 32, "each may be held again");
});

test("a close gives back all", async () => {
  const { held, hold, stand, countOf } = setUp();
  hold("s", heldMax);
  held.close();
  await stand();
  assert.deepEqual([countOf("s", "closed"), held.count()], [heldMax, 0]);
});

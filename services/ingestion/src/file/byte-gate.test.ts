import assert from "node:assert/strict";
import { test } from "node:test";
import { createByteGate } from "./byte-gate.js";

const never = new AbortController().signal;
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test("what fits passes, the rest waits in turn for what is given back", async () => {
  const gate = createByteGate(10);
  const passed: string[] = [];
  const take = async (name: string, bytes: number): Promise<() => void> => {
    const give = await gate.take(bytes, never);
    passed.push(name);
    return give;
  };
  const giveFirst = await take("first", 6);
  const second = take("second", 6);
  // Though it would fit.
  const third = take("third", 2);
  await turn();
  assert.deepEqual(passed, ["first"]);
  giveFirst();
  (await second)();
  (await third)();
  assert.deepEqual(passed, ["first", "second", "third"]);
});

test("one that is larger than all there is passes alone", async () => {
  const gate = createByteGate(10);
  const giveSmall = await gate.take(1, never);
  let isPast = false;
  const large = gate.take(99, never).then((give) => {
    isPast = true;
    return give;
  });
  await turn();
  assert.equal(isPast, false);
  giveSmall();
  const next = gate.take(1, never);
  (await large)();
  (await next)();
});

test("after an abort nobody waits, and what was held is given back as before", async () => {
  const gate = createByteGate(10);
  const stopping = new AbortController();
  const giveFirst = await gate.take(10, never);
  const aborted = gate.take(5, stopping.signal);
  const patient = gate.take(5, never);
  stopping.abort();
  const giveAborted = await aborted;
  (await gate.take(5, stopping.signal))();
  giveAborted();
  giveFirst();
  (await patient)();
  (await gate.take(10, never))();
});

import assert from "node:assert/strict";
import test from "node:test";
import { createFakeClock } from "./fake-clock.js";
import { eventually } from "./eventually.js";

test("a fake clock wakes sleepers in the order of their times, and only when told", async () => {
  const clock = createFakeClock(1_000);
  const woken: string[] = [];
  const sleep = (name: string, ms: number) =>
    clock.sleep(ms).then(() => woken.push(`${name} at ${clock.now()}`));
  void sleep("b", 20);
  void sleep("a", 10);
  void sleep("c", 31);
  await clock.advance(30);
  assert.deepEqual(woken, ["a at 1010", "b at 1020"]);
  assert.deepEqual([clock.now(), clock.sleeping()], [1_030, 1]);
});

test("a sleeper that is aborted wakes at once", async () => {
  const clock = createFakeClock();
  const stop = new AbortController();
  const sleeping = clock.sleep(1_000, stop.signal);
  stop.abort();
  await sleeping;
  assert.equal(clock.sleeping(), 0);
});

test("eventually returns the first answer that is one, and past its deadline shows the last", async () => {
  let asked = 0;
  assert.equal(await eventually(() => ++asked > 3 && "there", { what: "it", pollMs: 1 }), "there");
  const never = eventually(() => Promise.reject(new Error("still away")), {
    what: "it comes",
    deadlineMs: 5,
    pollMs: 1,
  });
  await assert.rejects(never, /it comes: not within 5 ms; last: Error: still away/);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { CodedError } from "@millrace/errors";
import { createAppendWindow, defaultRetryPolicy, pauseMs, type WindowItem } from "./append-window.js";

interface Attempt {
  position: number;
  resolve(): void;
  fail(code: CodedError["code"]): void;
}

/** A window whose answers and pauses the test gives by hand. */
function setUp(inFlightMax: number) {
  const stop = new AbortController();
  const attempts: Attempt[] = [];
  const sleeps: { ms: number; wake(): void }[] = [];
  const settled: number[] = [];
  const released: number[] = [];
  const blocked: (string | undefined)[] = [];
  const window = createAppendWindow({
    inFlightMax,
    retry: defaultRetryPolicy,
    timers: {
      now: () => 0,
      random: () => 1,
      sleep: (ms, signal) =>
        new Promise((wake) => {
          sleeps.push({ ms, wake });
          signal.addEventListener("abort", () => wake());
        }),
    },
    signal: stop.signal,
    onBlocked: (error) => blocked.push(error?.code),
    onSettled: (positionTo) => settled.push(positionTo),
  });
  const item = (position: number): WindowItem => ({
    positionTo: position,
    send: () =>
      new Promise((resolve, reject) => {
        attempts.push({ position, resolve, fail: (code) => reject(new CodedError(code, "refused")) });
      }),
    release: () => released.push(position),
  });
  return { stop, attempts, sleeps, settled, released, blocked, window, item };
}

/** Lets every promise that is ready go on. */
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test("items are sent in order, no more at once than the window holds", async () => {
  const { window, item, attempts, settled } = setUp(2);
  await window.push(item(1));
  await window.push(item(2));
  let pushed = false;
  const third = window.push(item(3)).then(() => (pushed = true));
  attempts[1]?.resolve();
  await turn();
  assert.equal(pushed, false, "an item settled out of order keeps its place");
  assert.deepEqual(settled, []);
  attempts[0]?.resolve();
  await third;
  assert.deepEqual(settled, [1, 2]);
  assert.deepEqual(
    attempts.map((attempt) => attempt.position),
    [1, 2, 3],
  );
});

test("after a refusal what is in flight comes back first, then the refused go again in order", async () => {
  const { window, item, attempts, sleeps, settled, blocked, released } = setUp(4);
  for (const position of [1, 2, 3]) await window.push(item(position));
  attempts[1]?.fail("unavailable");
  await turn();
  assert.equal(sleeps.length, 0, "two are in flight");
  await window.push(item(4));
  attempts[0]?.fail("resource_exhausted");
  attempts[2]?.resolve();
  await turn();
  assert.deepEqual(
    sleeps.map((sleep) => sleep.ms),
    [100],
  );
  assert.equal(attempts.length, 3, "nothing new is sent before the pause is over");
  sleeps[0]?.wake();
  await turn();
  assert.deepEqual(
    attempts.slice(3).map((attempt) => attempt.position),
    [1, 2, 4],
  );
  for (const attempt of attempts.slice(3)) attempt.resolve();
  await window.drain();
  assert.deepEqual(settled, [1, 2, 3, 4]);
  assert.deepEqual([...released].sort(), [1, 2, 3, 4]);
  assert.equal(blocked.at(-1), undefined);
});

test("pauses double up to a bound while waiting and are long for other errors", async () => {
  const timers = { now: () => 0, random: () => 1, sleep: async () => undefined };
  const options = { retry: defaultRetryPolicy, timers };
  const pauses = (code: CodedError["code"]) =>
    [0, 1, 5, 6, 99].map((attempt) => pauseMs(new CodedError(code, "refused"), attempt, options));
  assert.deepEqual(pauses("deadline_exceeded"), [100, 200, 3200, 5000, 5000]);
  assert.deepEqual(pauses("permission_denied"), [30_000, 30_000, 30_000, 30_000, 30_000]);
  const told = new CodedError("unavailable", "refused", { retryAfterMs: 7000 });
  assert.equal(pauseMs(told, 0, options), 7000);
});

test("an append that says already_exists is done", async () => {
  const { window, item, attempts, settled } = setUp(2);
  await window.push(item(1));
  attempts[0]?.fail("already_exists");
  await window.drain();
  assert.deepEqual(settled, [1]);
});

test("an abort during the pause ends it, releases what is held and refuses more", async () => {
  const { window, item, attempts, stop, released } = setUp(2);
  await window.push(item(1));
  await window.push(item(2));
  attempts[0]?.fail("unavailable");
  const blockedPush = window.push(item(3));
  attempts[1]?.fail("unavailable");
  await turn();
  stop.abort();
  await assert.rejects(blockedPush, (error) => error instanceof CodedError && error.code === "canceled");
  await window.drain();
  assert.deepEqual([...released].sort(), [1, 2, 3]);
  assert.equal(attempts.length, 2);
});

test("a drain after an abort waits for what is in flight", async () => {
  const { window, item, attempts, stop, settled } = setUp(2);
  await window.push(item(1));
  stop.abort();
  let drained = false;
  const drain = window.drain().then(() => (drained = true));
  await turn();
  assert.equal(drained, false);
  attempts[0]?.resolve();
  await drain;
  assert.deepEqual(settled, [1]);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { createFakeClock, type FakeClock } from "@millrace/runtime/testing";
import { createThrottle } from "./throttle.js";

const never = new AbortController().signal;

/** Sends pieces of 10 messages and 1,000 bytes for as long as it may; counts what has passed. */
function send(clock: FakeClock, rates: { messagesPerSecond: number; bytesPerSecond: number }) {
  const throttle = createThrottle({ ...rates, now: clock.monotonic, sleep: clock.sleep });
  const passed = { messages: 0 };
  void (async () => {
    for (let at = 0; at < 1_000; at++) {
      await throttle.pass(10, 1_000, never);
      passed.messages += 10;
    }
  })();
  return passed;
}

async function turn(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

test("no more passes in a second than the rate says, and the piece that is under way", async () => {
  const clock = createFakeClock();
  const passed = send(clock, { messagesPerSecond: 100, bytesPerSecond: 0 });
  await turn();
  for (let second = 1; second <= 5; second++) {
    await clock.advance(1_000);
    await turn();
    assert.ok(passed.messages >= 100 * second && passed.messages <= 100 * second + 10, `${passed.messages}`);
  }
});

test("the slower of two rates holds", async () => {
  const clock = createFakeClock();
  const passed = send(clock, { messagesPerSecond: 1_000, bytesPerSecond: 5_000 });
  await turn();
  await clock.advance(2_000);
  await turn();
  assert.ok(passed.messages >= 100 && passed.messages <= 110, `${passed.messages}`);
});

test("time that was not used is not saved up", async () => {
  const clock = createFakeClock();
  const throttle = createThrottle({
    messagesPerSecond: 100,
    bytesPerSecond: 0,
    now: clock.monotonic,
    sleep: clock.sleep,
  });
  await throttle.pass(10, 0, never);
  await clock.advance(60_000);
  await throttle.pass(10, 0, never);
  let isThrough = false;
  void throttle.pass(10, 0, never).then(() => (isThrough = true));
  await turn();
  assert.equal(isThrough, false);
  await clock.advance(100);
  await turn();
  assert.equal(isThrough, true);
});

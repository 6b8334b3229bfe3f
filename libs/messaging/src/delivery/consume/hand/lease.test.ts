import assert from "node:assert/strict";
import { test } from "node:test";
import { createFakeClock } from "@millrace/runtime/testing";
import { createPulse, keepLease } from "./lease.js";

// For a real pause, by SIGSTOP and with a real broker, see testing/poisoned-service.test.ts.

test("a lease that was not extended for longer than the broker waits is lost for good", async () => {
  const clock = createFakeClock();
  const lease = keepLease({ working: () => undefined }, clock, clock.monotonic());
  await clock.advance(9_999);
  assert.equal(lease.isLost(), false);
  await clock.advance(2);
  assert.equal(lease.isLost(), true);
  lease.end();
});

test("a message read after a pause counts from before it, since it may have lain in the socket", async () => {
  const clock = createFakeClock();
  const pulse = createPulse(clock);
  await clock.advance(400);
  const before = clock.monotonic();
  assert.equal(pulse.arrivedAt(before), before);
  await clock.advance(30_000);
  const lease = keepLease({ working: () => undefined }, clock, pulse.arrivedAt(before));
  assert.equal(lease.isLost(), true);
  // One that was asked for after the pause is fresh.
  const after = clock.monotonic();
  assert.equal(pulse.arrivedAt(after), after);
  lease.end();
  pulse.stop();
});

test("one read long after a pause is fresh, though it was asked for before", async () => {
  const clock = createFakeClock();
  const pulse = createPulse(clock);
  const before = clock.monotonic();
  // A loop that stands still for 30 s, and then a short while again before it reads anything.
  await clock.advance(30_000);
  assert.equal(pulse.arrivedAt(before), before);
  await clock.advance(2_500);
  assert.equal(pulse.arrivedAt(before), before);
  for (let beat = 0; beat < 12; beat++) {
    await clock.advance(500);
    pulse.arrivedAt(before);
  }
  assert.equal(pulse.arrivedAt(before), clock.monotonic());
  pulse.stop();
});

import assert from "node:assert/strict";
import { test } from "node:test";
import type { CodedError } from "@millrace/errors";
import { createFakeClock } from "@millrace/runtime/testing";
import { handleInTime, type Pace } from "./handling.js";

const handlingMsMax = 60_000;

/** A handler that is told from outside when it returns, and how often its process was ended. */
function begin() {
  const clock = createFakeClock();
  const killed: CodedError[] = [];
  let end = (): void => undefined;
  let pace: Pace | undefined;
  const kill = (reason: CodedError): void => void killed.push(reason);
  const handled = handleInTime({ clock, handlingMsMax, kill }, "batch 1", async (given) => {
    pace = given;
    await new Promise<void>((resolve) => (end = resolve));
    return "handled";
  });
  assert.ok(pace !== undefined);
  return { clock, killed, handled, pace, end: () => end() };
}

test("a handler that never returns ends its process, once", async () => {
  const { clock, killed } = begin();
  await clock.advance(handlingMsMax - 1);
  assert.equal(killed.length, 0);
  await clock.advance(1);
  await clock.advance(10 * handlingMsMax);
  assert.deepEqual(
    killed.map(({ code, message }) => [code, message]),
    [["deadline_exceeded", "handle batch 1: no end within 60000 ms"]],
  );
});

test("one that returns is looked at no more", async () => {
  const { clock, killed, handled, end } = begin();
  await clock.advance(handlingMsMax / 2);
  end();
  assert.equal(await handled, "handled");
  assert.equal(clock.sleeping(), 0);
  await clock.advance(handlingMsMax);
  assert.equal(killed.length, 0);
});

test("one that goes on may take any time, until it does not", async () => {
  const { clock, killed, pace } = begin();
  for (let minutes = 0; minutes < 10; minutes++) {
    await clock.advance(handlingMsMax - 1);
    pace.goesOn();
  }
  assert.equal(killed.length, 0);
  await clock.advance(handlingMsMax + 10_000);
  assert.equal(killed.length, 1);
});

test("what it waits for does not count, whatever becomes of it", async () => {
  const { clock, killed, pace } = begin();
  let fail = (_: Error): void => undefined;
  const away = pace.waits(new Promise((_, reject) => (fail = reject)));
  await clock.advance(10 * handlingMsMax);
  assert.equal(killed.length, 0);
  fail(new Error("the disk is gone"));
  await assert.rejects(away, /the disk is gone/);
  await clock.advance(handlingMsMax - 10_000);
  assert.equal(killed.length, 0);
  await clock.advance(20_000);
  assert.equal(killed.length, 1);
});

import assert from "node:assert/strict";
import test from "node:test";
import { setImmediate } from "node:timers/promises";
import { createFakeClock } from "@millrace/runtime/testing";
import { followTail, heartbeatMs } from "./follow-tail.js";

/** Items that are handed over when the test says so. */
function setUp(
  more: { onItem?: (item: number) => Promise<boolean | void>; onSilence?: () => Promise<void> } = {},
) {
  const clock = createFakeClock();
  const told: (number | "silence")[] = [];
  const ending = new AbortController();
  const items: number[] = [];
  let wake = (): void => undefined;
  const open = async function* (signal: AbortSignal): AsyncGenerator<number> {
    signal.addEventListener("abort", () => wake(), { once: true });
    while (!signal.aborted) {
      const item = items.shift();
      if (item === undefined) await new Promise<void>((resolve) => (wake = resolve));
      else yield item;
    }
  };
  const following = followTail<number>({
    open,
    sleep: clock.sleep,
    now: clock.monotonic,
    signal: ending.signal,
    onItem: async (item) => {
      told.push(item);
      return (await more.onItem?.(item)) !== false;
    },
    onSilence: async () => {
      told.push("silence");
      await more.onSilence?.();
    },
  });
  const come = async (item: number): Promise<void> => {
    items.push(item);
    wake();
    await setImmediate();
  };
  return { clock, told, come, following, end: () => ending.abort() };
}

test("silence is told each time that nothing came for so long, and an item puts it off", async () => {
  const { clock, told, come, following, end } = setUp();
  await clock.advance(heartbeatMs - 1);
  await come(1);
  await clock.advance(heartbeatMs - 1);
  assert.deepEqual(told, [1]);
  await clock.advance(1);
  assert.deepEqual(told, [1, "silence"]);
  await clock.advance(heartbeatMs);
  await come(2);
  assert.deepEqual(told, [1, "silence", "silence", 2]);
  end();
  await following;
});

test("items that a filter leaves out are silence", async () => {
  const { clock, told, come, following, end } = setUp({ onItem: async () => false });
  await clock.advance(heartbeatMs - 1);
  await come(1);
  await clock.advance(1);
  assert.deepEqual(told, [1, "silence"]);
  end();
  await following;
});

test("an item waits until a silence is told, and a slow item is no silence", async () => {
  const steps: (() => void)[] = [];
  const slowly = (): Promise<void> => new Promise((resolve) => steps.push(resolve));
  const { clock, told, come, following, end } = setUp({ onItem: slowly, onSilence: slowly });
  await clock.advance(heartbeatMs);
  await come(1);
  assert.deepEqual(told, ["silence"]);
  steps.shift()?.();
  await setImmediate();
  assert.deepEqual(told, ["silence", 1]);
  await clock.advance(3 * heartbeatMs);
  assert.deepEqual(told, ["silence", 1]);
  steps.shift()?.();
  await setImmediate();
  await clock.advance(heartbeatMs);
  assert.deepEqual(told, ["silence", 1, "silence"]);
  steps.shift()?.();
  end();
  await following;
});

test("an item or a silence that cannot be told ends it with its error", async () => {
  const fail = (): Promise<void> => Promise.reject(new Error("the caller has gone"));
  const failing = setUp({ onItem: fail });
  const item = assert.rejects(failing.following, /has gone/);
  await failing.come(1);
  await item;
  assert.equal(failing.clock.sleeping(), 0);
  const silent = setUp({ onSilence: fail });
  const silence = assert.rejects(silent.following, /has gone/);
  await silent.clock.advance(heartbeatMs);
  await silence;
});

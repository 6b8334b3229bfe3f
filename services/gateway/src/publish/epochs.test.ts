import assert from "node:assert/strict";
import test from "node:test";
import { setImmediate } from "node:timers/promises";
import { createEpochs, checkEpoch, epochSource } from "./epochs.js";
import { createPendingBudget } from "./pending-budget.js";
import { createPushSource } from "./push-source.js";
import { createAppendLog, textRow } from "./testing.js";

const of = { tenant: "default", stream: "notes" };
const source = epochSource(of, 1, "0190f0aa-0000-7000");
const closing = { rowsMax: 10, lingerMs: 2 };

function setUp() {
  const log = createAppendLog();
  const epochs = createEpochs({
    createSource: (made) =>
      createPushSource({
        of: made,
        budget: createPendingBudget(1_000_000),
        append: log.append,
        sleep: async () => void (await setImmediate()),
        monotonic: () => performance.now(),
        backoffMs: () => 1,
        whenFull: "wait",
        signal: new AbortController().signal,
      }),
    sleep: (_, signal) => new Promise((resolve) => signal.addEventListener("abort", () => resolve())),
  });
  return { log, epochs };
}

test("a later connection ends the one before and waits for what that left behind", async () => {
  const { log, epochs } = setUp();
  let ended: string | undefined;
  const first = await epochs.open(of, source, ({ code }) => (ended = code));
  const left = first.source.add({ row: textRow("a"), position: 0 }, closing);
  let isOpen = false;
  const opening = epochs
    .open(of, source, () => undefined)
    .then((second) => {
      isOpen = true;
      return second;
    });
  await setImmediate();
  assert.equal(ended, "aborted");
  assert.equal(isOpen, false);
  first.close(() => 1);
  await log.answer();
  await left;
  assert.equal((await opening).acknowledgedBelow, 1);
});

test("what an epoch has acknowledged is remembered when it is opened again", async () => {
  const { epochs } = setUp();
  const first = await epochs.open(of, source, () => undefined);
  first.close(() => 7);
  await setImmediate();
  assert.equal((await epochs.open(of, source, () => undefined)).acknowledgedBelow, 7);
});

test("an epoch is 16 to 64 of a-z, 0-9 and '-', and does not look like a source key", () => {
  checkEpoch("0190f0aa-0000-7000-8000-000000000000");
  for (const epoch of ["short", "x".repeat(65), "UPPERCASE-UPPERCASE", "0".repeat(32)]) {
    assert.throws(() => checkEpoch(epoch), { code: "invalid_argument", field: "open.epoch" });
  }
});

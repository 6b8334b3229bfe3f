import assert from "node:assert/strict";
import { test } from "node:test";
import { createLedgerLag } from "./ledger-lag.js";
import { waitingStreams } from "./waiting-streams.js";

const of = { tenant: "default", stream: "s" };
const entry = (done: number, dead = 0, dropped: Record<string, number> = {}) => ({ done, dead, dropped });

test("messages wait between what was accepted and what was settled", () => {
  const ledger = createLedgerLag();
  const set = (stage: string, source: string, ...counts: Parameters<typeof entry>): void =>
    ledger.set(stage, { ...of, source }, entry(...counts));
  // Two of the hundred were refused by buffer, three lost by privacy, one dropped by inference.
  set("buffer", "a", 100, 2);
  set("privacy", "a", 0, 3);
  set("inference", "a", 0, 0, { rule: 1 });
  assert.equal(ledger.read("store", of).stage, 94);
  set("store", "a", 50, 4);
  set("search", "a", 20);
  set("buffer", "b", 10);
  assert.deepEqual(ledger.read("store", of), { stage: 94 - 54 + 10, live: 94 - 20 + 10 });
  assert.deepEqual(ledger.read("search", of), { stage: 94 - 20 + 10, live: 94 - 20 + 10 });
  // What privacy passed shows when the first sink has it.
  assert.equal(ledger.read("privacy", of).stage, 94 - 54 + 10);
  ledger.forget("default", "s");
  assert.deepEqual(ledger.read("store", of), { stage: 0, live: 0 });
});

test("a stage that is ahead of what buffer has written down has no lag", () => {
  const ledger = createLedgerLag();
  ledger.set("store", { ...of, source: "a" }, entry(5));
  assert.deepEqual(ledger.read("store", of), { stage: 0, live: 0 });
});

test("subjects tell which streams have batches for a stage", () => {
  const stored = ["enriched.y.n.y.n.batch.any.default.one", "enriched.n.n.y.n.high.p01.default.two"];
  assert.deepEqual(
    waitingStreams("search", stored).map(({ stream }) => stream),
    ["one"],
  );
  assert.deepEqual(waitingStreams("results", stored), []);
  assert.equal(waitingStreams("store", stored).length, 2);
  assert.deepEqual(waitingStreams("privacy", ["raw.high.any.default.s", "raw.batch.any.default.s"]), [of]);
});

import assert from "node:assert/strict";
import test from "node:test";
import { setImmediate } from "node:timers/promises";
import { CodedError } from "@millrace/errors";
import { batchId, checkBatch, idText, keyedMessageId, messageId } from "@millrace/envelope";
import { Lane } from "@millrace/proto/batch";
import { createFakeClock } from "@millrace/runtime/testing";
import { createPendingBudget } from "./pending-budget.js";
import { createPushSource, type PushSourceOptions } from "./push-source.js";
import { createAppendLog, textRow, textsIn } from "./testing.js";

const of = { tenant: "default", stream: "notes", source: "5".repeat(32) };
const closing = { rowsMax: 1_000, lingerMs: 2 };
const unavailable = new CodedError("unavailable", "no answer");
const full = new CodedError("resource_exhausted", "full", { retryAfterMs: 1 });

function setUp(more: Partial<PushSourceOptions> = {}) {
  const log = createAppendLog();
  const ending = new AbortController();
  const budget = createPendingBudget(10_000_000);
  const source = createPushSource({
    of,
    budget,
    append: log.append,
    sleep: async () => void (await setImmediate()),
    monotonic: () => performance.now(),
    backoffMs: () => 1,
    whenFull: "refuse",
    signal: ending.signal,
    ...more,
  });
  return { log, source, budget, ending };
}

test("messages that come together go in one batch and get positions from 0", async () => {
  const { log, source, budget } = setUp();
  const receipts = Promise.all(["a", "b", "c"].map((text) => source.add({ row: textRow(text) }, closing)));
  await log.answer();
  assert.deepEqual(
    (await receipts).map(({ position, durability }) => [position, durability]),
    [
      [0, "synced"],
      [1, "synced"],
      [2, "synced"],
    ],
  );
  const [batch] = log.batches;
  assert.ok(batch?.header);
  checkBatch(batch);
  assert.deepEqual(textsIn(batch), ["a", "b", "c"]);
  assert.equal(idText(batch.header.id), batchId(of, 0, 3));
  assert.equal(batch.header.lane, Lane.LANE_HIGH);
  assert.equal(budget.bytes(), 0);
});

test("while a batch is on its way, what comes forms the next one, and positions go on", async () => {
  const { log, source } = setUp();
  const first = source.add({ row: textRow("a") }, closing);
  while (log.batches.length === 0) await setImmediate();
  const others = [source.add({ row: textRow("b") }, closing), source.add({ row: textRow("c") }, closing)];
  await log.answer();
  await log.answer();
  assert.equal((await first).position, 0);
  assert.deepEqual(
    (await Promise.all(others)).map(({ position }) => position),
    [1, 2],
  );
  assert.deepEqual(log.batches.map(textsIn), [["a"], ["b", "c"]]);
});

test("a batch closes when it is full, at a change of lane and at a hole in the positions", async () => {
  const { log, source } = setUp();
  const big = "x".repeat(700 * 1024);
  const additions = [
    { row: textRow("a"), position: 0 },
    { row: textRow("b"), position: 1 },
    { row: textRow("c"), position: 2 },
    { row: textRow("d"), position: 4 },
    { row: textRow("e", { lane: Lane.LANE_BATCH }), position: 5 },
    { row: textRow(big, { lane: Lane.LANE_BATCH }), position: 6 },
    { row: textRow(big, { lane: Lane.LANE_BATCH }), position: 7 },
  ];
  const receipts = Promise.all(
    additions.map((addition) => source.add(addition, { rowsMax: 2, lingerMs: 2 })),
  );
  for (let batch = 0; batch < 5; batch++) await log.answer();
  assert.deepEqual(
    (await receipts).map(({ position }) => position),
    [0, 1, 2, 4, 5, 6, 7],
  );
  const spans = log.batches.map(({ header }) => [header?.positionFrom, header?.positionTo]);
  assert.deepEqual(spans, [
    [0, 2],
    [2, 3],
    [4, 5],
    [5, 7],
    [7, 8],
  ]);
});

/** A source whose last batch has just gone, so that the next one lingers. */
async function setUpLingering() {
  const clock = createFakeClock();
  const made = setUp({ sleep: clock.sleep, monotonic: clock.monotonic });
  const first = made.source.add({ row: textRow("first") }, closing);
  await made.log.answer();
  await first;
  return { ...made, clock };
}

test("a batch that has its number of messages closes at once", async () => {
  const { log, source } = await setUpLingering();
  const add = (text: string) => source.add({ row: textRow(text) }, { rowsMax: 3, lingerMs: 50 });
  const receipts = Promise.all(["a", "b"].map(add));
  await setImmediate();
  assert.equal(log.batches.length, 1, "it lingers");
  const third = add("c");
  await log.answer();
  await Promise.all([receipts, third]);
  assert.deepEqual(log.batches.map(textsIn), [["first"], ["a", "b", "c"]]);
});

test("a batch closes before the message that would pass its bytes, without lingering", async () => {
  const { log, source } = await setUpLingering();
  const big = "x".repeat(600 * 1024);
  const filling = source.add({ row: textRow(big) }, closing);
  await setImmediate();
  assert.equal(log.batches.length, 1, "it lingers");
  void source.add({ row: textRow(`${big}y`) }, closing);
  await log.answer();
  await filling;
  assert.deepEqual(log.batches.map(textsIn), [["first"], [big]]);
});

test("a batch that is not full closes when its time is over, and not before", async () => {
  const { log, source, clock } = await setUpLingering();
  const receipt = source.add({ row: textRow("a") }, { rowsMax: 1_000, lingerMs: 50 });
  await setImmediate();
  await clock.advance(49);
  assert.equal(log.batches.length, 1);
  await clock.advance(1);
  await log.answer();
  await receipt;
  assert.deepEqual(log.batches.map(textsIn), [["first"], ["a"]]);
});

test("a batch whose outcome is unknown is sent again as it is, before any other", async () => {
  const { log, source } = setUp();
  const first = source.add({ row: textRow("a") }, closing);
  await log.answer(unavailable);
  const second = source.add({ row: textRow("b") }, closing);
  await log.answer(new CodedError("deadline_exceeded", "late"));
  await log.answer();
  await log.answer();
  assert.deepEqual([(await first).position, (await second).position], [0, 1]);
  assert.deepEqual(log.batches.map(textsIn), [["a"], ["a"], ["a"], ["b"]]);
  assert.deepEqual(log.batches[0], log.batches[2]);
});

test("a batch that a full buffer refused is given up, and its positions stay a gap", async () => {
  const { log, source, budget } = setUp();
  const refused = source.add({ row: textRow("a") }, closing);
  refused.catch(() => undefined);
  await log.answer(full);
  await assert.rejects(refused, { code: "resource_exhausted", retryAfterMs: 1 });
  const next = source.add({ row: textRow("b") }, closing);
  await log.answer();
  assert.equal((await next).position, 1);
  assert.equal(budget.bytes(), 0);
});

test("a source that waits sends the batch again until the buffer has room", async () => {
  const { log, source } = setUp({ whenFull: "wait" });
  const added = source.add({ row: textRow("a") }, closing);
  await log.answer(full);
  await log.answer();
  assert.equal((await added).position, 0);
  assert.equal(log.batches.length, 2);
});

test("beyond the pending bytes a publish is refused, and let in once there is room", async () => {
  const { log, source } = setUp({ budget: createPendingBudget(100) });
  const first = source.add({ row: textRow("x".repeat(100)) }, closing);
  await assert.rejects(source.add({ row: textRow("b") }, closing), { code: "resource_exhausted" });
  await log.answer();
  await first;
  const second = source.add({ row: textRow("b") }, closing);
  await log.answer();
  assert.equal((await second).position, 1);
});

test("at the hard end the outcome of what is left is unknown", async () => {
  const { log, source, ending } = setUp();
  const added = source.add({ row: textRow("a") }, closing);
  added.catch(() => undefined);
  while (log.batches.length === 0) await setImmediate();
  ending.abort();
  await log.answer(unavailable);
  await assert.rejects(added, { code: "unavailable" });
  await source.idle();
});

test("where one message has an idempotency key, all of its batch carry their ids", async () => {
  const { log, source } = setUp();
  const id = keyedMessageId({ ...of, createdMs: 0 }, "k");
  const added = [source.add({ row: textRow("a") }, closing), source.add({ row: textRow("b"), id }, closing)];
  await log.answer();
  await Promise.all(added);
  const ids = log.batches[0]?.columns?.ids ?? new Uint8Array();
  assert.deepEqual([idText(ids.subarray(0, 16)), idText(ids.subarray(16))], [messageId(of, 0), id]);
});

test("what comes alone goes at once, and what comes soon after it travels together", async () => {
  const clock = createFakeClock();
  const { log, source } = setUp({ sleep: clock.sleep, monotonic: clock.monotonic });
  const first = source.add({ row: textRow("a") }, closing);
  await setImmediate();
  assert.equal(log.batches.length, 1, "nobody was waited for");
  await log.answer();
  await first;
  const others = ["b", "c"].map((text) => source.add({ row: textRow(text) }, closing));
  await clock.advance(1.9);
  assert.equal(log.batches.length, 1);
  await clock.advance(0.1);
  await log.answer();
  await Promise.all(others);
  assert.deepEqual(log.batches.map(textsIn), [["a"], ["b", "c"]]);
  await clock.advance(2);
  void source.add({ row: textRow("d") }, closing);
  await setImmediate();
  assert.equal(log.batches.length, 3);
  await log.answer();
});

test("a batch that came together while another was on its way does not linger again", async () => {
  const clock = createFakeClock();
  const { log, source } = setUp({ sleep: clock.sleep, monotonic: clock.monotonic });
  const first = source.add({ row: textRow("a") }, closing);
  await setImmediate();
  const others = ["b", "c"].map((text) => source.add({ row: textRow(text) }, closing));
  assert.equal(clock.sleeping(), 1);
  await clock.advance(2);
  assert.equal(log.batches.length, 1, "one append at a time");
  await log.answer();
  await first;
  await log.answer();
  await Promise.all(others);
  assert.deepEqual(log.batches.map(textsIn), [["a"], ["b", "c"]]);
  assert.equal(clock.sleeping(), 0);
});

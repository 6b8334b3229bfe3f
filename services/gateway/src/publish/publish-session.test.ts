import assert from "node:assert/strict";
import test from "node:test";
import { setImmediate } from "node:timers/promises";
import { CodedError } from "@millrace/errors";
import type { PublishStreamResponse } from "@millrace/proto/message";
import { createPendingBudget } from "./pending-budget.js";
import { toRow } from "./outgoing-row.js";
import { createPublishSession, creditsMax } from "./publish-session.js";
import { createPushSource } from "./push-source.js";
import { createAppendLog, notesStream, textMessage, textsIn } from "./testing.js";

const of = { tenant: "default", stream: "notes", source: "5".repeat(32) };

function setUp(acceptedBelow = 0) {
  const log = createAppendLog();
  const told: PublishStreamResponse[] = [];
  const source = createPushSource({
    of,
    budget: createPendingBudget(10_000_000),
    append: log.append,
    sleep: async () => void (await setImmediate()),
    monotonic: () => performance.now(),
    backoffMs: () => 1,
    whenFull: "wait",
    signal: new AbortController().signal,
  });
  const session = createPublishSession({
    acceptedBelow,
    check: (message) => toRow(message, notesStream, 0),
    offer: (addition, settled) => source.offer(addition, { rowsMax: 1_000, lingerMs: 2 }, settled),
    respond: (response) => told.push(response),
  });
  const take = (firstSequence: number, ...texts: string[]) =>
    session.take({ firstSequence, messages: texts.map((text) => textMessage(text)) });
  return { log, told, session, take };
}

test("messages are acknowledged in order, once they are durable", async () => {
  const { log, told, session, take } = setUp();
  take(0, "a", "b");
  take(2, "c");
  await setImmediate();
  assert.deepEqual(told, []);
  await log.answer();
  await session.settled();
  assert.deepEqual(told, [{ acknowledgedBelow: 3, credits: creditsMax, rejections: [] }]);
  assert.deepEqual(log.batches.map(textsIn), [["a", "b", "c"]]);
});

test("a rejected message is told with code, field and remedy, and leaves a gap", async () => {
  const { log, told, session, take } = setUp();
  session.take({ firstSequence: 0, messages: [textMessage("a"), textMessage("", { content: undefined })] });
  take(2, "c");
  await log.answer();
  await log.answer();
  await session.settled();
  const [rejection, ...others] = told.flatMap(({ rejections }) => rejections);
  assert.deepEqual(others, []);
  assert.equal(rejection?.sequence, 1);
  assert.equal(rejection?.code, "INVALID_ARGUMENT");
  assert.equal(rejection?.field, "content");
  assert.ok(rejection?.remedy);
  assert.equal(told.at(-1)?.acknowledgedBelow, 3);
  const spans = log.batches.map(({ header }) => [header?.positionFrom, header?.positionTo]);
  assert.deepEqual(spans, [
    [0, 1],
    [2, 3],
  ]);
});

test("numbers that were durable before are acknowledged and not sent again", async () => {
  const { log, told, session, take } = setUp(2);
  take(0, "a", "b", "c");
  await log.answer();
  await session.settled();
  assert.deepEqual(log.batches.map(textsIn), [["c"]]);
  assert.equal(told.at(-1)?.acknowledgedBelow, 3);
});

test("what is sent again and was durable before is acknowledged, with nothing new behind it", async () => {
  const { log, told, session, take } = setUp(3);
  take(1, "b", "c");
  await session.settled();
  assert.deepEqual(told, [{ acknowledgedBelow: 3, credits: creditsMax, rejections: [] }]);
  assert.deepEqual(log.batches, []);
});

test("a refusal is told again when its number is sent again", async () => {
  const { told, session } = setUp(5);
  session.take({ firstSequence: 3, messages: [textMessage("", { content: undefined })] });
  await session.settled();
  assert.deepEqual(
    told.map(({ acknowledgedBelow }) => acknowledgedBelow),
    [5],
  );
  assert.equal(told[0]?.rejections[0]?.sequence, 3);
});

test("numbers with a hole, and numbers going back, are refused", () => {
  const { take } = setUp();
  take(0, "a");
  const refused = { code: "invalid_argument", field: "messages.first_sequence" };
  assert.throws(() => take(2, "c"), refused);
  assert.throws(() => take(0, "a"), refused);
});

test("a client that has used up its credits is full until some are settled", async () => {
  const { log, session, take } = setUp();
  for (let at = 0; at < creditsMax; at += 1_024) take(at, ...Array.from({ length: 1_024 }, () => "a"));
  assert.equal(session.isFull(), true);
  const progress = session.progress();
  await log.answer();
  await progress;
  assert.equal(session.isFull(), false);
});

test("what buffer refuses for good becomes a rejection", async () => {
  const { log, told, session, take } = setUp();
  take(0, "a");
  await log.answer(new CodedError("not_found", "no stream", { field: "stream", remedy: "Create it." }));
  await session.settled();
  assert.deepEqual(told.at(-1)?.rejections, [
    { sequence: 0, code: "NOT_FOUND", reason: "no stream", field: "stream", remedy: "Create it." },
  ]);
});

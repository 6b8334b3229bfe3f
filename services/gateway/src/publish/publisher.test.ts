import assert from "node:assert/strict";
import test from "node:test";
import { setImmediate } from "node:timers/promises";
import { CodedError } from "@millrace/errors";
import { keyedMessageId } from "@millrace/envelope";
import { Lane } from "@millrace/proto/batch";
import { Priority } from "@millrace/proto/message";
import { StreamState } from "@millrace/proto/stream";
import { createPendingBudget } from "./pending-budget.js";
import { createPublisher } from "./publisher.js";
import { createAppendLog, notesStream, textMessage, textsIn } from "./testing.js";

const to = { tenant: "default", stream: notesStream };

function setUp() {
  const log = createAppendLog();
  let now = 5_000;
  const publisher = createPublisher({
    epoch: "gateway-0-1",
    append: log.append,
    budget: createPendingBudget(10_000_000),
    now: () => now,
    sleep: async () => void (await setImmediate()),
    monotonic: () => performance.now(),
    backoffMs: () => 1,
    signal: new AbortController().signal,
    rememberedKeysMax: 2,
  });
  const publish = (text: string, idempotencyKey = "", more = {}) =>
    publisher.publish(to, textMessage(text, more), { idempotencyKey, trace: undefined });
  return { log, publisher, publish, pass: (ms: number) => (now += ms) };
}

test("the same idempotency key again gives the same answer and sends nothing", async () => {
  const { log, publish } = setUp();
  const first = publish("a", "k");
  const meanwhile = publish("a", "k");
  await log.answer();
  const after = await publish("a", "k");
  assert.deepEqual(await first, after);
  assert.deepEqual(await meanwhile, after);
  assert.equal(
    after.messageId,
    keyedMessageId({ tenant: "default", stream: "notes", createdMs: notesStream.createdMs }, "k"),
  );
  assert.equal(log.batches.length, 1);
});

test("a key is free again after 10 minutes, and after a refusal", async () => {
  const { log, publish, pass } = setUp();
  const refused = publish("a", "k");
  refused.catch(() => undefined);
  await log.answer(new CodedError("resource_exhausted", "full"));
  await assert.rejects(refused, { code: "resource_exhausted" });
  const again = publish("a", "k");
  await log.answer();
  const { position } = await again;
  pass(10 * 60_000 + 1);
  const later = publish("a", "k");
  await log.answer();
  assert.notEqual((await later).position, position);
});

test("keys beyond the bound are refused rather than forgotten", async () => {
  const { log, publish } = setUp();
  const known = [publish("a", "k1"), publish("a", "k2")];
  await log.answer();
  await Promise.all(known);
  await assert.rejects(publish("a", "k3"), { code: "resource_exhausted", field: "idempotency_key" });
});

test("lanes are sources of their own, chosen by priority and by the stream's mode", async () => {
  const { log, publish } = setUp();
  const both = [publish("a"), publish("b", "", { priority: Priority.PRIORITY_BATCH })];
  await log.answer();
  await log.answer();
  const [high, batch] = await Promise.all(both);
  assert.notEqual(high?.source, batch?.source);
  assert.deepEqual([high?.position, batch?.position], [0, 0]);
  const lanes = log.batches.map(({ header }) => header?.lane);
  assert.deepEqual(lanes.sort(), [Lane.LANE_HIGH, Lane.LANE_BATCH]);
});

test("a stream made again under its old name has another source", async () => {
  const { log, publisher, publish } = setUp();
  const before = publish("a");
  await log.answer();
  const stream = { ...notesStream, createdMs: 2 };
  const message = textMessage("a");
  const after = publisher.publish({ ...to, stream }, message, { idempotencyKey: "", trace: undefined });
  await log.answer();
  assert.notEqual((await before).source, (await after).source);
  assert.notEqual((await before).messageId, (await after).messageId);
});

test("a paused stream refuses", async () => {
  const { publisher } = setUp();
  const stream = { ...notesStream, state: StreamState.STREAM_STATE_PAUSED };
  const published = publisher.publish({ ...to, stream }, textMessage("a"), {
    idempotencyKey: "",
    trace: undefined,
  });
  await assert.rejects(published, { code: "failed_precondition", field: "stream" });
});

test("a key that is too long or has control characters is refused", async () => {
  const { publish, log } = setUp();
  await assert.rejects(publish("a", "k".repeat(129)), { code: "invalid_argument", field: "idempotency_key" });
  await assert.rejects(publish("a", "k\0"), { code: "invalid_argument", field: "idempotency_key" });
  assert.deepEqual(log.batches.map(textsIn), []);
});

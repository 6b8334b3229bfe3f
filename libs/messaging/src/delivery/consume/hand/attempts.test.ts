import assert from "node:assert/strict";
import { test } from "node:test";
import type { JsMsg } from "@nats-io/jetstream";
import { present } from "@millrace/errors";
import { natsWorkbench } from "../../../testing/workbench.js";
import { createAttempts } from "./attempts.js";

const bench = natsWorkbench();

async function firstDelivery(text: string): Promise<{ next(): Promise<JsMsg> }> {
  const buffer = await bench.connect("buffer");
  await buffer.js.publish("raw.batch.any.default.s", text);
  const broker = await bench.connect("privacy");
  const consumer = await broker.js.consumers.get("RAW", "privacy-batch");
  return { next: async () => present(await consumer.next({ expires: 5_000 }), "delivery") };
}

const counts = async (): Promise<number> =>
  (await bench.admin().manager.streams.info("KV_ATTEMPTS")).state.messages;

test("what is given back is no attempt, the first delivery neither", async () => {
  const { next } = await firstDelivery("one");
  const attempts = createAttempts(await bench.connect("privacy"), "privacy");
  const numbers: number[] = [];
  for (const given of [true, true, false, true, false, false]) {
    const message = await next();
    numbers.push((await attempts.begin(message)).attempt);
    if (given) await attempts.takeBack(message, true);
    message.nak();
  }
  assert.deepEqual(numbers, [1, 1, 1, 2, 2, 3]);
  const last = await next();
  assert.equal(last.info.deliveryCount, 7);
  assert.equal((await attempts.begin(last)).attempt, 4);
  last.ack();
});

test("a delivery that was never begun is taken back where the next one implies it", async () => {
  const { next } = await firstDelivery("unworked");
  const attempts = createAttempts(await bench.connect("privacy"), "privacy");
  for (let n = 0; n < 3; n++) {
    const message = await next();
    await attempts.takeBack(message, false);
    message.nak();
  }
  const message = await next();
  assert.equal((await attempts.begin(message)).attempt, 1);
  message.ack();
});

test("errors, and works on it alone of which nobody saw the end, are counted apart", async () => {
  const { next } = await firstDelivery("apart");
  const attempts = createAttempts(await bench.connect("privacy"), "privacy");
  const first = await next();
  await attempts.begin(first);
  assert.equal(await attempts.fail(first), 1);
  first.nak();
  const second = await next();
  assert.deepEqual(await attempts.begin(second), { attempt: 2, ended: 0 });
  for (const isSeen of [true, false, false]) {
    await attempts.enter(second);
    if (isSeen) await attempts.leave(second);
  }
  assert.equal(await attempts.fail(second), 2);
  second.nak();
  const third = await next();
  assert.deepEqual(await attempts.begin(third), { attempt: 3, ended: 2 });
  third.ack();
});

test("a first delivery writes nothing", async () => {
  const before = await counts();
  const attempts = createAttempts(await bench.connect("privacy"), "privacy");
  const { next } = await firstDelivery("two");
  const message = await next();
  assert.deepEqual(await attempts.begin(message), { attempt: 1, ended: 0 });
  attempts.forget(message);
  assert.equal(await counts(), before);
  message.ack();
});

test("a begin that was stored but never answered counts once when it is tried again", async () => {
  const { next } = await firstDelivery("unanswered");
  (await next()).nak();
  const message = await next();
  const broker = await bench.connect("privacy");
  const bucket = await broker.kv.open("ATTEMPTS", { allow_direct: true });
  const put = bucket.put.bind(bucket);
  let lost = 0;
  bucket.put = async (...args) => {
    const revision = await put(...args);
    if (++lost > 1) return revision;
    throw new Error("timeout");
  };
  broker.kv.open = async () => bucket;
  const attempts = createAttempts(broker, "privacy");
  await assert.rejects(attempts.begin(message), { code: "unavailable" });
  assert.deepEqual(await attempts.begin(message), { attempt: 2, ended: 0 });
  message.nak();
  const third = await next();
  assert.deepEqual(await attempts.begin(third), { attempt: 3, ended: 0 });
  third.ack();
});

test("two that hold the same delivery are both counted", async () => {
  const { next } = await firstDelivery("three");
  (await next()).nak();
  const message = await next();
  const [one, other] = await Promise.all(
    ["privacy", "privacy"].map(async (user) =>
      createAttempts(await bench.connect(user), "privacy").begin(message),
    ),
  );
  assert.deepEqual([one?.attempt, other?.attempt].sort(), [2, 3]);
  message.ack();
});

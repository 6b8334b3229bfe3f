import assert from "node:assert/strict";
import { test } from "node:test";
import type { JsMsg } from "@nats-io/jetstream";
import { present } from "@millrace/errors";
import { natsWorkbench } from "../../testing/workbench.js";
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

test("deliveries count from the second on, except those that were given back", async () => {
  const { next } = await firstDelivery("one");
  const attempts = createAttempts(await bench.connect("privacy"), "privacy");
  const numbers: number[] = [];
  for (const given of [false, true, true, false, false]) {
    const message = await next();
    numbers.push(await attempts.begin(message));
    if (given) await attempts.takeBack(message);
    message.nak();
  }
  assert.deepEqual(numbers, [1, 2, 2, 2, 3]);
  const last = await next();
  assert.equal(last.info.deliveryCount, 6);
  assert.equal(await attempts.begin(last), 4);
  last.ack();
});

test("a first delivery writes nothing", async () => {
  const before = await counts();
  const attempts = createAttempts(await bench.connect("privacy"), "privacy");
  const { next } = await firstDelivery("two");
  const message = await next();
  assert.equal(await attempts.begin(message), 1);
  attempts.forget(message);
  assert.equal(await counts(), before);
  message.ack();
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
  assert.deepEqual([one, other].sort(), [2, 3]);
  message.ack();
});

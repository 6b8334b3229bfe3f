import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import type { JsMsg } from "@nats-io/jetstream";
import type { Broker } from "../../../broker/broker.js";
import { natsWorkbench } from "../../../testing/workbench.js";
import { createAcks } from "./acks.js";

const bench = natsWorkbench();
const stream = "PARKED";
const count = 50;

beforeEach(async () => {
  await bench.admin().manager.streams.purge(stream);
});

/** Deliveries of a consumer of their own. */
async function deliveries(broker: Broker): Promise<JsMsg[]> {
  for (let at = 0; at < count; at++) await broker.js.publish("parked.store.default.s", new Uint8Array(8));
  const { manager } = bench.admin();
  await manager.consumers.add(stream, {
    durable_name: "store_default_s",
    filter_subject: "parked.store.default.s",
    ack_policy: "explicit",
  });
  const consumer = await broker.js.consumers.get(stream, "store_default_s");
  const messages: JsMsg[] = [];
  for await (const message of await consumer.fetch({ max_messages: count, expires: 5_000 })) {
    messages.push(message);
    if (messages.length === count) break;
  }
  return messages;
}

const stored = async (): Promise<number> => (await bench.admin().manager.streams.info(stream)).state.messages;

for (const each of [true, false]) {
  test(`what is confirmed has gone: ${each ? "each at once" : "all with the last"}`, async () => {
    const broker = await bench.connect("output");
    const acks = createAcks(broker, { each });
    for (const message of await deliveries(broker)) await acks.give(message);
    if (!each) await acks.confirmed();
    assert.equal(await stored(), 0);
    // Nothing is left to be confirmed.
    await acks.confirmed();
  });
}

test("a broker that is gone holds up no stop", async () => {
  const broker = await bench.connect("output");
  const acks = createAcks(broker, { each: false });
  for (const message of await deliveries(broker)) await acks.give(message);
  await broker.connection.close();
  await acks.confirmed();
});

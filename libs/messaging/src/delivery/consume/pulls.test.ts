import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeBatch, encodeBatch, idText, type OpenBatch, openBatch } from "@millrace/envelope";
import { buildBatch, textsOf } from "@millrace/envelope/testing";
import type { Component } from "@millrace/runtime";
import { eventually, testRuntime } from "@millrace/runtime/testing";
import type { Broker } from "../../broker/broker.js";
import { natsWorkbench } from "../../testing/workbench.js";
import { consumeBatches } from "../consumer.js";
import { createDeadLetterWriter } from "../dead-letters.js";
import { createPublisher } from "../publisher.js";

const bench = natsWorkbench();
const never = new AbortController().signal;
const consumer = "store-batch";
const lives = 40;

async function startLife(broker: Broker, settled: Map<string, number>): Promise<Component> {
  const publisher = createPublisher(broker);
  const life = consumeBatches({
    broker,
    runtime: testRuntime(),
    publisher,
    deadLetters: createDeadLetterWriter({ publisher, stage: "store", side: "clean", now: () => 0 }),
    consumer,
    inFlightMax: 16,
    open: async (data): Promise<OpenBatch> => {
      const batch = decodeBatch(data);
      return openBatch(batch, batch.body?.$case === "inline" ? batch.body.value : new Uint8Array());
    },
    handle: async (batch) => {
      for (const text of textsOf(batch)) settled.set(text, (settled.get(text) ?? 0) + 1);
      return {};
    },
  });
  await life.start?.();
  return life;
}

test("a reader that is stopped under load leaves next to nothing that is handed out again", async () => {
  const [sender, reader] = await Promise.all([bench.connect("privacy"), bench.connect("output")]);
  const settled = new Map<string, number>();
  let sent = 0;
  let isOver = false;
  const send = async (): Promise<void> => {
    while (!isOver) {
      const batch = buildBatch({ texts: [String(sent)], from: sent });
      sent += 1;
      const data = encodeBatch(batch, { $case: "inline", value: batch.body });
      await sender.js.publish("enriched.n.n.y.n.batch.any.default.s", data, {
        msgID: idText(batch.header.id),
      });
    }
  };
  const sending = Promise.all(Array.from({ length: 4 }, send));
  for (let n = 0; n < lives; n++) {
    const life = await startLife(reader, settled);
    const before = settled.size;
    await eventually(() => settled.size > before + n, { what: "it is under way" });
    await life.stop?.(never);
  }
  isOver = true;
  await sending;
  const last = await startLife(reader, settled);
  await eventually(() => settled.size === sent, { what: "all came through", deadlineMs: 60_000 });
  await last.stop?.(never);
  assert.deepEqual(
    [...settled].filter(([, times]) => times > 1),
    [],
    "none was worked on twice",
  );
  // What the broker sends to a subscription that has just ended reaches nobody, and is counted all the same:
  // 5 to 18 of 40 stops. Ended without a last round trip, and what comes late given back, it is 55.
  const { delivered } = await bench.admin().manager.consumers.info("ENRICHED", consumer);
  const again = delivered.consumer_seq - sent;
  assert.ok(again <= 0.75 * lives, `${again} were handed out again after ${lives} stops`);
});

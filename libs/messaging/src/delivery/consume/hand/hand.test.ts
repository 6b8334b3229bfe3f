import assert from "node:assert/strict";
import { beforeEach, type TestContext, test } from "node:test";
import { decodeBatch, encodeBatch, idText, type OpenBatch, openBatch } from "@millrace/envelope";
import { buildBatch, textsOf } from "@millrace/envelope/testing";
import { eventually, testRuntime } from "@millrace/runtime/testing";
import { natsWorkbench } from "../../../testing/workbench.js";
import { consumeBatches } from "../../consumer.js";
import { createDeadLetterWriter } from "../../dead-letters.js";
import { createPublisher } from "../../publisher.js";

const bench = natsWorkbench();

beforeEach(async () => {
  for (const name of ["CLEAN", "DLQ"]) await bench.admin().manager.streams.purge(name);
});

const open = async (data: Uint8Array): Promise<OpenBatch> => {
  const batch = decodeBatch(data);
  return openBatch(batch, batch.body?.$case === "inline" ? batch.body.value : new Uint8Array());
};

/** The analysis, where streams called `narrow…` have a parallelism of 1. Texts that passed, by stream. */
async function startStage(
  t: TestContext,
  handle: (stream: string, signal: AbortSignal) => Promise<void>,
): Promise<Map<string, string[]>> {
  const broker = await bench.connect("inference");
  const publisher = createPublisher(broker);
  const passed = new Map<string, string[]>();
  const stage = consumeBatches({
    broker,
    runtime: testRuntime(),
    publisher,
    deadLetters: createDeadLetterWriter({ publisher, stage: "inference", side: "clean", now: () => 0 }),
    open,
    consumer: "inference-batch",
    inFlightMax: 8,
    parallelismOf: (_, stream) => (stream.startsWith("narrow") ? 1 : 0),
    handle: async (batch, signal) => {
      const { stream } = batch.header;
      await handle(stream, signal);
      passed.set(stream, [...(passed.get(stream) ?? []), ...textsOf(batch)]);
      return {};
    },
  });
  await stage.start?.();
  t.after(() => stage.stop?.(AbortSignal.abort()));
  return passed;
}

let next = 0;
async function publish(stream: string, count: number): Promise<string[]> {
  const { js } = await bench.connect("privacy");
  const texts = Array.from({ length: count }, (_, n) => `${n}`);
  for (const text of texts) {
    const batch = buildBatch({ stream, texts: [text], from: (next += 100) });
    const data = encodeBatch(batch, { $case: "inline", value: batch.body });
    await js.publish(`clean.batch.any.default.${stream}`, data, { msgID: idText(batch.header.id) });
  }
  return texts;
}

const settled = (): Promise<boolean> =>
  eventually(async () => (await bench.admin().manager.streams.info("CLEAN")).state.messages === 0, {
    what: "all is settled",
    deadlineMs: 30_000,
  });

test("streams behind hundreds of batches of one that stands pass it, and it loses nothing", async (t) => {
  const narrow = await publish("narrow", 300);
  const wide = await publish("wide", 50);
  const also = await publish("narrow-also", 20);
  let goOn = (): void => undefined;
  const stands = new Promise<void>((resolve) => (goOn = resolve));
  const passed = await startStage(t, (stream) => (stream === "narrow" ? stands : Promise.resolve()));
  const count = (stream: string): number => passed.get(stream)?.length ?? 0;
  const behind = wide.length + also.length;
  await eventually(() => count("wide") + count("narrow-also") === behind, {
    what: "those behind pass",
    deadlineMs: 30_000,
  });
  assert.equal(count("narrow"), 0);
  goOn();
  await settled();
  assert.deepEqual(new Set(passed.get("narrow")), new Set(narrow));
  assert.equal(count("narrow"), narrow.length, "each once");
  assert.equal((await bench.admin().manager.streams.info("DLQ")).state.messages, 0);
});

test("a narrow stream that goes on has nothing given back: it stays in order", async (t) => {
  const texts = await publish("narrow", 400);
  const passed = await startStage(t, async () => undefined);
  await settled();
  assert.deepEqual(passed.get("narrow"), texts);
});

import assert from "node:assert/strict";
import { beforeEach, type TestContext, test } from "node:test";
import { CodedError } from "@millrace/errors";
import { decodeBatch, encodeBatch, idText, type OpenBatch, openBatch } from "@millrace/envelope";
import { buildBatch, textsOf } from "@millrace/envelope/testing";
import type { Component } from "@millrace/runtime";
import { eventually, testRuntime } from "@millrace/runtime/testing";
import type { Broker } from "../../broker/broker.js";
import { natsWorkbench } from "../../testing/workbench.js";
import { consumeBatches } from "../consumer.js";
import { createDeadLetterWriter } from "../dead-letters.js";
import { createPublisher } from "../publisher.js";
import { drainParked } from "./drain-parked.js";
import { createParking } from "./parking.js";

const bench = natsWorkbench();
const never = new AbortController().signal;

beforeEach(async () => {
  for (const name of ["ENRICHED", "PARKED", "DLQ"]) await bench.admin().manager.streams.purge(name);
});

const open = async (data: Uint8Array): Promise<OpenBatch> => {
  const batch = decodeBatch(data);
  return openBatch(batch, batch.body?.$case === "inline" ? batch.body.value : new Uint8Array());
};

interface Stage {
  /** Texts that came through, in order, by stream. */
  through: Map<string, string[]>;
  stop(): Promise<void>;
}

/** The store stage, one of whose streams may be blocked. It stops with its test: it would take the next. */
async function startStage(t: TestContext, isBlocked: (stream: string) => boolean): Promise<Stage> {
  const broker = await bench.connect("output");
  const runtime = testRuntime();
  const publisher = createPublisher(broker);
  const through = new Map<string, string[]>();
  const parking = createParking({ broker, runtime, publisher, stage: "store" });
  const options = {
    broker,
    runtime,
    publisher,
    deadLetters: createDeadLetterWriter({ publisher, stage: "store", side: "clean", now: () => 0 }),
    open,
    parking,
    handle: async (batch: OpenBatch) => {
      const { stream } = batch.header;
      if (isBlocked(stream)) throw new CodedError("unavailable", "store: disk is full", { scope: "stream" });
      through.set(stream, [...(through.get(stream) ?? []), ...textsOf(batch)]);
      return {};
    },
  };
  const components: Component[] = [
    parking,
    drainParked(options),
    consumeBatches({ ...options, consumer: "store-batch", inFlightMax: 4 }),
  ];
  for (const component of components) await component.start?.();
  let stopped: Promise<void> | undefined;
  const stop = async (): Promise<void> => {
    for (const component of components.toReversed()) await component.stop?.(never);
  };
  const stage = { through, stop: () => (stopped ??= stop()) };
  t.after(stage.stop);
  return stage;
}

let next = 0;
let privacy: Promise<Broker> | undefined;
async function publish(stream: string, texts: readonly string[]): Promise<void> {
  const batch = buildBatch({ stream, texts, from: (next += 100) });
  privacy ??= bench.connect("privacy");
  await (await privacy).js.publish(
    `enriched.n.n.y.n.batch.any.default.${stream}`,
    encodeBatch(batch, { $case: "inline", value: batch.body }),
    { msgID: idText(batch.header.id) },
  );
}

const stored = async (name: string): Promise<number> =>
  (await bench.admin().manager.streams.info(name)).state.messages;
const until = (what: string, probe: () => boolean | Promise<boolean>): Promise<boolean> =>
  eventually(probe, { what, deadlineMs: 30_000 });

test("a blocked stream is parked, holds up no other, and drains in order before newer batches", async (t) => {
  let isBlocked = true;
  const stage = await startStage(t, (stream) => isBlocked && stream === "blocked");
  for (let n = 0; n < 9; n++) await publish("blocked", [`b${n}`]);
  for (let n = 0; n < 50; n++) await publish("free", [`f${n}`]);
  await until("the other stream passes", () => stage.through.get("free")?.length === 50);
  await until("the blocked one is parked", async () => (await stored("PARKED")) === 9);
  // The broker counts an ack a moment after it has stored what is parked.
  await until("they are acknowledged", async () => (await stored("ENRICHED")) === 0);
  // What comes later parks behind, though it would pass by now.
  isBlocked = false;
  for (let n = 9; n < 12; n++) await publish("blocked", [`b${n}`]);
  await until("it is drained", async () => (await stored("PARKED")) + (await stored("ENRICHED")) === 0);
  await until("all came through", () => stage.through.get("blocked")?.length === 12);
  const order = stage.through.get("blocked") ?? [];
  assert.deepEqual(order.slice(-3), ["b9", "b10", "b11"]);
  assert.deepEqual([...order].sort(), Array.from({ length: 12 }, (_, n) => `b${n}`).sort());
  await publish("blocked", ["straight"]);
  await until("it goes straight again", () => stage.through.get("blocked")?.length === 13);
  assert.equal(await stored("DLQ"), 0);
});

test("two blocked streams drain apart: one that stays blocked holds up no other", async (t) => {
  const blocked = new Set(["one", "two"]);
  const stage = await startStage(t, (stream) => blocked.has(stream));
  for (let n = 0; n < 3; n++) for (const stream of blocked) await publish(stream, [`${n}`]);
  await until("both are parked", async () => (await stored("PARKED")) === 6);
  blocked.delete("two");
  await until("one of them drains", () => stage.through.get("two")?.length === 3);
  // Those that were in hand together may have parked in another order.
  assert.deepEqual(stage.through.get("two")?.sort(), ["0", "1", "2"]);
  assert.equal(stage.through.get("one"), undefined);
});

test("what is parked waits for the stage's next life, which takes it before anything newer", async (t) => {
  const first = await startStage(t, () => true);
  await publish("s", ["old"]);
  await until("it is parked", async () => (await stored("PARKED")) === 1);
  await first.stop();
  await publish("s", ["new"]);
  const second = await startStage(t, () => false);
  await until("both came through", () => second.through.get("s")?.length === 2);
  assert.deepEqual(second.through.get("s"), ["old", "new"]);
});

test("a batch that is larger than a bus message is parked in pieces", async (t) => {
  let isBlocked = true;
  const stage = await startStage(t, () => isBlocked);
  const texts = Array.from({ length: 12 }, (_, n) => `${n}`.padEnd(80_000, "x"));
  await publish("large", texts);
  await until("it is parked", async () => (await stored("PARKED")) === 2);
  isBlocked = false;
  await until("it came through", () => stage.through.get("large")?.length === 12);
  assert.deepEqual(stage.through.get("large"), texts);
});

/** So many bytes for PARKED, until the test ends. */
async function boundParked(t: TestContext, bytesMax: number): Promise<void> {
  const { streams } = bench.admin().manager;
  const { config } = await streams.info("PARKED");
  t.after(() => streams.update("PARKED", config));
  await streams.update("PARKED", { ...config, max_bytes: bytesMax });
}

test("PARKED is full: another stream passes, and the blocked one loses nothing", async (t) => {
  await boundParked(t, 200_000);
  let isBlocked = true;
  const stage = await startStage(t, (stream) => isBlocked && stream === "blocked");
  const blocked = Array.from({ length: 300 }, (_, n) => `${n}`.padEnd(50_000, "x"));
  for (const text of blocked) await publish("blocked", [text]);
  await until("PARKED is full", async () => (await stored("PARKED")) === 3);
  // Behind hundreds that can neither be stored nor parked, of which the stage has four in hand at most.
  for (let n = 0; n < 50; n++) await publish("free", [`f${n}`]);
  await until("the other stream passes", () => stage.through.get("free")?.length === 50);
  assert.equal(stage.through.get("blocked"), undefined);
  assert.ok((await stored("ENRICHED")) >= blocked.length - 4, "what is not parked is still there");
  isBlocked = false;
  const all = (): boolean => new Set(stage.through.get("blocked")).size === blocked.length;
  await until("the blocked one is drained", all);
  assert.deepEqual(new Set(stage.through.get("blocked")), new Set(blocked));
  await until("nothing is left", async () => (await stored("PARKED")) + (await stored("ENRICHED")) === 0);
  assert.equal(await stored("DLQ"), 0);
});

test("more blocked streams than places, and PARKED is full: another stream passes", async (t) => {
  await boundParked(t, 60_000);
  let isBlocked = true;
  const stage = await startStage(t, (stream) => isBlocked && stream.startsWith("blocked"));
  const names = Array.from({ length: 8 }, (_, n) => `blocked${n}`);
  for (let n = 0; n < 3; n++) for (const name of names) await publish(name, [`${n}`.padEnd(50_000, "x")]);
  for (let n = 0; n < 50; n++) await publish("free", [`f${n}`]);
  await until("the other stream passes", () => stage.through.get("free")?.length === 50);
  isBlocked = false;
  const all = (): boolean => names.every((name) => new Set(stage.through.get(name)).size === 3);
  await until("all are drained", all);
  assert.equal(await stored("DLQ"), 0);
});

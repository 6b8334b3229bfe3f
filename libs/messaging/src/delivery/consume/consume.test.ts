import assert from "node:assert/strict";
import { beforeEach, type TestContext, test } from "node:test";
import { decodeBatch, encodeBatch, type OpenBatch, openBatch } from "@millrace/envelope";
import { buildBatch } from "@millrace/envelope/testing";
import type { Component } from "@millrace/runtime";
import { eventually, testRuntime } from "@millrace/runtime/testing";
import type { Consumer } from "@nats-io/jetstream";
import type { Broker } from "../../broker/broker.js";
import { natsWorkbench } from "../../testing/workbench.js";
import { consumeBatches } from "../consumer.js";
import { createDeadLetterWriter } from "../dead-letters.js";
import { createPublisher } from "../publisher.js";
import { consumeOrdered } from "./consume-ordered.js";
import { drainParked } from "./drain-parked.js";
import { createParking } from "./parking.js";

const bench = natsWorkbench();
const never = new AbortController().signal;
/** Far below what a request is open for, 5 s and 10 s, and above what a loaded machine takes. */
const promptMs = 3_000;

beforeEach(async () => {
  for (const name of ["ENRICHED", "PARKED"]) await bench.admin().manager.streams.purge(name);
});

const batch = buildBatch({ texts: ["parked"] });
const data = encodeBatch(batch, { $case: "inline", value: batch.body });
const open = async (bytes: Uint8Array): Promise<OpenBatch> => {
  const decoded = decodeBatch(bytes);
  return openBatch(decoded, decoded.body?.$case === "inline" ? decoded.body.value : new Uint8Array());
};

/** A broker whose fetches are asked for while somebody else has the turn: `asked` runs before they answer. */
function slowToAnswer(broker: Broker, asked: () => void): Broker {
  const get = async (stream: string, name: string): Promise<Consumer> => {
    const consumer = await broker.js.consumers.get(stream, name);
    const fetch = consumer.fetch.bind(consumer);
    return Object.assign(consumer, {
      fetch: async (options: Parameters<Consumer["fetch"]>[0]) => {
        const pull = await fetch(options);
        asked();
        await new Promise((resolve) => setImmediate(resolve));
        return pull;
      },
    });
  };
  return { ...broker, js: Object.create(broker.js, { consumers: { value: { get } } }) };
}

type Kind = "batches" | "ordered" | "parked";

async function startStage(kind: Kind, broker: Broker): Promise<Component[]> {
  const runtime = testRuntime();
  const publisher = createPublisher(broker);
  const options = {
    broker,
    runtime,
    publisher,
    deadLetters: createDeadLetterWriter({ publisher, stage: "store", side: "clean" as const, now: () => 0 }),
    open,
    handle: async () => ({}),
  };
  const parking = createParking({ broker, runtime, publisher, stage: "store" });
  const components = {
    batches: () => [consumeBatches({ ...options, consumer: "store-batch", inFlightMax: 4 })],
    ordered: () => [consumeOrdered({ ...options, stage: "store" })],
    parked: () => [parking, drainParked({ ...options, parking })],
  }[kind]();
  for (const component of components) await component.start?.();
  return components;
}

/** Resolves with how long it took. */
async function stopAll(components: readonly Component[]): Promise<number> {
  const began = performance.now();
  for (const component of components.toReversed()) await component.stop?.(never);
  return performance.now() - began;
}

async function isIdle(kind: Kind): Promise<boolean> {
  const { manager } = bench.admin();
  if (kind === "parked") return (await manager.streams.info("PARKED")).state.messages === 0;
  const name = kind === "batches" ? "store-batch" : "store-p00";
  return (await manager.consumers.info("ENRICHED", name)).num_waiting > 0;
}

for (const kind of ["batches", "ordered", "parked"] as const) {
  test(`a stop of an idle stage is prompt: ${kind}`, async (t: TestContext) => {
    const { js } = await bench.connect("output");
    if (kind === "parked") await js.publish("parked.store.default.s", data);
    const components = await startStage(kind, await bench.connect("output"));
    t.after(() => stopAll(components));
    await eventually(() => isIdle(kind), { what: "its request is open", deadlineMs: 20_000 });
    const tookMs = await stopAll(components);
    assert.ok(tookMs < promptMs, `it took ${Math.round(tookMs)} ms`);
  });
}

for (const kind of ["batches", "parked"] as const) {
  test(`a stop that comes while a request is on its way is prompt: ${kind}`, async (t: TestContext) => {
    let stopping: Promise<number> | undefined;
    let components: Component[] = [];
    const broker = slowToAnswer(await bench.connect("output"), () => (stopping ??= stopAll(components)));
    if (kind === "parked") {
      // Its reader has taken what is parked, so that its request finds none.
      const { js } = await bench.connect("output");
      await js.publish("parked.store.default.s", data);
    }
    components = await startStage(kind, broker);
    t.after(() => stopAll(components));
    await eventually(() => stopping, { what: "it asks", deadlineMs: 20_000 });
    const tookMs = (await stopping) ?? 0;
    assert.ok(tookMs < promptMs, `it took ${Math.round(tookMs)} ms`);
  });
}

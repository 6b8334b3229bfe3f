import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { CodedError, present } from "@millrace/errors";
import { decodeBatch, encodeBatch, type OpenBatch, openBatch } from "@millrace/envelope";
import { buildBatch } from "@millrace/envelope/testing";
import { eventually, testRuntime } from "@millrace/runtime/testing";
import type { JsMsg } from "@nats-io/jetstream";
import { natsWorkbench } from "../../testing/workbench.js";
import { type ConsumeOptions, consumeBatches } from "../consumer.js";
import { createDeadLetterWriter } from "../dead-letters.js";
import { createPublisher } from "../publisher.js";
import type { Trial } from "../trial/trial.js";
import { type Attempts, createAttempts } from "./hand/attempts.js";

const bench = natsWorkbench();
const never = new AbortController().signal;
const deadMax = 10;

beforeEach(async () => {
  for (const name of ["RAW", "CLEAN", "DLQ_RAW"]) await bench.admin().manager.streams.purge(name);
});

/** Finds no fault, as with every batch that something else ended. */
const innocent: Trial = {
  name: "trial",
  judge: async (open) => ({ passed: [{ from: 0, to: open.header.count }], failed: [] }),
};

const stored = async (name: string): Promise<number> =>
  (await bench.admin().manager.streams.info(name)).state.messages;

/** A batch whose holders end one after the other, each after `until`; the broker delivers it again. */
async function endHolders(
  count: number,
  until: (attempts: Attempts, message: JsMsg) => Promise<unknown>,
): Promise<void> {
  const batch = buildBatch({ texts: ["held"] });
  const buffer = await bench.connect("buffer");
  await buffer.js.publish(
    "raw.batch.any.default.s",
    encodeBatch(batch, { $case: "inline", value: batch.body }),
  );
  const broker = await bench.connect("privacy");
  const attempts = createAttempts(broker, "privacy");
  const consumer = await broker.js.consumers.get("RAW", "privacy-batch");
  for (let n = 0; n < count; n++) {
    const message = present(await consumer.next({ expires: 5_000 }), "delivery");
    await attempts.begin(message);
    await until(attempts, message);
    // As its ack wait does, only sooner.
    message.nak();
  }
}

/** The filter's consumer, with everything real but its work. */
async function consumeWith(
  more: Pick<ConsumeOptions, "handle" | "inFlightMax" | "trial">,
): Promise<ReturnType<typeof consumeBatches>> {
  const broker = await bench.connect("privacy");
  const publisher = createPublisher(broker);
  return consumeBatches({
    broker,
    runtime: testRuntime(),
    publisher,
    deadLetters: createDeadLetterWriter({ publisher, stage: "privacy", side: "raw", now: () => 0 }),
    consumer: "privacy-batch",
    open: async (data): Promise<OpenBatch> => {
      const batch = decodeBatch(data);
      return openBatch(batch, batch.body?.$case === "inline" ? batch.body.value : new Uint8Array());
    },
    ...more,
  });
}

async function workOn(): Promise<{ handled(): number; stop(): Promise<void> }> {
  let handled = 0;
  const handle = async () => {
    handled += 1;
    return {};
  };
  const consumer = await consumeWith({ handle, trial: innocent, inFlightMax: 4 });
  await consumer.start?.();
  return { handled: () => handled, stop: async () => consumer.stop?.(never) };
}

const settled = (): Promise<boolean> =>
  eventually(async () => (await stored("RAW")) === 0, { what: "RAW is settled", deadlineMs: 30_000 });

test("a batch that many holders began and none settled passes: they were ended by others", async (t) => {
  await endHolders(2 * deadMax, async () => undefined);
  const { handled, stop } = await workOn();
  t.after(stop);
  await settled();
  assert.deepEqual([handled(), await stored("DLQ_RAW")], [1, 0]);
});

test("a batch passes that waited alone, or lay before its trial, when its holders ended", async (t) => {
  await endHolders(2 * deadMax, async (attempts, message) => {
    await attempts.enter(message);
    await attempts.leave(message);
  });
  const { handled, stop } = await workOn();
  t.after(stop);
  await settled();
  assert.deepEqual([handled(), await stored("DLQ_RAW")], [1, 0]);
});

test("a batch that ended ten processes which worked on it alone is dead-lettered", async (t) => {
  await endHolders(deadMax, async (attempts, message) => attempts.enter(message));
  const { handled, stop } = await workOn();
  t.after(stop);
  await settled();
  assert.deepEqual([handled(), await stored("DLQ_RAW")], [0, 1]);
});

test("what blocks one stream only is given back where nothing is set aside, and others pass", async (t) => {
  const buffer = await bench.connect("buffer");
  const publish = async (stream: string, from: number): Promise<void> => {
    const batch = buildBatch({ stream, from, texts: ["x"] });
    const body = { $case: "inline", value: batch.body } as const;
    await buffer.js.publish(`raw.batch.any.default.${stream}`, encodeBatch(batch, body));
  };
  for (let at = 0; at < 4; at++) await publish("blocked", at);
  await publish("free", 0);
  let hasModel = false;
  const passed: string[] = [];
  const handle = async ({ header }: OpenBatch) => {
    if (header.stream === "blocked" && !hasModel) {
      throw new CodedError("unavailable", "no model", { scope: "stream", subject: "model:faces" });
    }
    passed.push(header.stream);
    return {};
  };
  // Two places: the blocked stream could have both for as long as it waited in place.
  const consumer = await consumeWith({ handle, trial: innocent, inFlightMax: 2 });
  t.after(() => consumer.stop?.(never));
  await consumer.start?.();
  await eventually(() => passed.length > 0, { what: "the free stream passes" });
  assert.deepEqual(passed, ["free"]);
  hasModel = true;
  await settled();
  assert.deepEqual([passed.length, await stored("DLQ_RAW")], [5, 0]);
});

test("what is in hand and waits listens for a stop, without a warning of a leak", async (t) => {
  const warnings: string[] = [];
  const note = (warning: Error): void => void warnings.push(warning.name);
  process.on("warning", note);
  t.after(() => process.off("warning", note));
  let listening = 0;
  const consumer = await consumeWith({
    handle: async (_, signal) => {
      listening += 1;
      await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
      throw new Error("given up");
    },
    inFlightMax: 32,
  });
  const { js } = await bench.connect("buffer");
  for (let n = 0; n < 32; n++) {
    const batch = buildBatch({ texts: [`${n}`], from: n });
    const data = encodeBatch(batch, { $case: "inline", value: batch.body });
    await js.publish("raw.batch.any.default.s", data);
  }
  await consumer.start?.();
  t.after(() => consumer.stop?.(AbortSignal.abort()));
  await eventually(() => listening === 32, { what: "all are in hand" });
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(warnings, []);
});

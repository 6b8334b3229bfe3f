import assert from "node:assert/strict";
import { test } from "node:test";
import { buildBatch, inlineBatch } from "@millrace/envelope/testing";
import { Batch, Lane } from "@millrace/proto/batch";
import { eventually, testRuntime } from "@millrace/runtime/testing";
import { decodeBatch, idText, openBatch } from "@millrace/envelope";
import type { LaneToken } from "../broker/subjects.js";
import { subjects } from "../broker/subjects.js";
import { consumeBatches } from "../delivery/consumer.js";
import { createDeadLetterWriter } from "../delivery/dead-letters.js";
import { createPublisher } from "../delivery/publisher.js";
import { natsWorkbench } from "../testing/workbench.js";
import { createLaneTurns, type LaneTurns } from "./lane-turns.js";

const bench = natsWorkbench();

/** Pieces of work, in the order in which they began. */
function workAt(turns: LaneTurns) {
  const began: LaneToken[] = [];
  return {
    began,
    work: async (lane: LaneToken, during?: () => void): Promise<void> => {
      const done = await turns.take(lane);
      began.push(lane);
      during?.();
      done();
    },
  };
}

test("high work that comes while batch work is queued goes next", async () => {
  const { began, work } = workAt(createLaneTurns({ places: 1 }));
  const all: Promise<void>[] = [];
  // It comes by way of the event loop, as a delivery does, while the first piece keeps the thread busy.
  const arrive = (): void => void setImmediate(() => all.push(work("high")));
  for (let at = 0; at < 20; at++) all.push(work("batch", at === 4 ? arrive : undefined));
  await Promise.all(all);
  await Promise.all(all);
  const at = began.indexOf("high");
  assert.ok(at >= 5 && at <= 6, `it was number ${at}`);
  assert.equal(began.length, 21);
});

test("neither lane starves the other", async () => {
  const { began, work } = workAt(createLaneTurns({ places: 1 }));
  const work9 = (lane: LaneToken, count: number) => Array.from({ length: count }, () => work(lane));
  await Promise.all([...work9("batch", 90), ...work9("high", 90)]);
  const highs = began.slice(0, 101).filter((lane) => lane === "high").length;
  assert.equal(highs, 90, "all high work is done while batch has every ninth turn");
  assert.equal(began.length, 180);
});

test("a high delivery passes a batch lane that keeps the thread busy", async (t) => {
  const turns = createLaneTurns({ places: 1 });
  const broker = await bench.connect("privacy");
  const publisher = createPublisher(await bench.connect("buffer"));
  const publish = (lane: Lane, from: number) => {
    const batch = buildBatch({ texts: ["a"], lane, from });
    const data = Batch.encode(inlineBatch(batch)).finish();
    return publisher.publish({ subject: subjects.raw(batch.header), data, id: idText(batch.header.id) });
  };
  await Promise.all(Array.from({ length: 100 }, (_, at) => publish(Lane.LANE_BATCH, at)));
  const handled: LaneToken[] = [];
  const lanes = (["high", "batch"] as const).map((lane) =>
    consumeBatches({
      broker,
      runtime: testRuntime(),
      publisher,
      deadLetters: createDeadLetterWriter({ publisher, stage: "privacy", side: "raw", now: () => 0 }),
      consumer: `privacy-${lane}`,
      turns,
      open: async (data) => openBatch(decodeBatch(data), new Uint8Array()),
      handle: async () => {
        handled.push(lane);
        const until = performance.now() + 5;
        while (performance.now() < until);
        return {};
      },
      inFlightMax: 16,
    }),
  );
  t.after(async () => {
    for (const lane of lanes) await lane.stop?.(new AbortController().signal);
  });
  for (const lane of lanes) await lane.start?.();
  await eventually(() => handled.length >= 10, { what: "the batch lane is under way" });
  await publish(Lane.LANE_HIGH, 1_000);
  const handledBefore = handled.length;
  await eventually(() => handled.length === 101, { what: "all is handled" });
  const passed = handled.indexOf("high") - handledBefore;
  // Without turns it is behind the 16 that are in hand.
  assert.ok(passed <= 4, `behind ${passed} batches that were handled after it was stored`);
});

test("no more work is under way than there are places", async () => {
  const turns = createLaneTurns({ places: 3 });
  let underWay = 0;
  let most = 0;
  const work = async (): Promise<void> => {
    const done = await turns.take("batch");
    most = Math.max(most, ++underWay);
    await new Promise((resolve) => setImmediate(resolve));
    underWay--;
    done();
  };
  await Promise.all(Array.from({ length: 20 }, work));
  assert.equal(most, 3);
});

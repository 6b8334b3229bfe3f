import assert from "node:assert/strict";
import { test } from "node:test";
import { type Backpressure as Payload, Event } from "@millrace/proto/event";
import { createBackpressure } from "./backpressure.js";

const of = { tenant: "t", stream: "s" };
const full = { liveBytes: 9, quotaBytes: 8, waiting: ["ingestion"] };
const free = { liveBytes: 0, quotaBytes: 8, waiting: [] };

function setUp(stored: Record<string, number> = {}, sink = "store") {
  const told: Payload[] = [];
  let nowMs = 0;
  const backpressure = createBackpressure({
    publish: async ({ subject, data }) => {
      assert.equal(subject, "event.t.s.backpressure");
      const { payload } = Event.decode(data);
      if (payload?.$case === "backpressure") told.push(payload.value);
    },
    countStored: async (jetStream) => stored[jetStream] ?? 0,
    lags: () => [{ sink, bytes: 7 }],
    groupsOf: async () => ["billing", "handlers"],
    now: () => nowMs,
  });
  return { told, backpressure, pass: (ms: number) => (nowMs += ms) };
}

test("a stream that becomes full, and has room again, is told once each", async () => {
  const { told, backpressure, pass } = setUp();
  await backpressure.watch(of, free);
  assert.equal(told.length, 0);
  for (let times = 0; times < 3; times++) await backpressure.watch(of, full);
  assert.deepEqual(backpressure.toldFull(), [of]);
  pass(5_000);
  for (let times = 0; times < 3; times++) await backpressure.watch(of, free);
  assert.deepEqual(
    told.map((each) => [each.full, each.waiting, each.waitingFor, each.because]),
    [
      [true, ["ingestion"], "buffer quota", "store lags by 7 bytes"],
      [false, [], "buffer quota", "what held it up is settled"],
    ],
  );
  assert.deepEqual(backpressure.toldFull(), []);
});

test("what changes to and fro within 5 s is told as it ends", async () => {
  const { told, backpressure, pass } = setUp();
  await backpressure.watch(of, full);
  for (const usage of [free, full, free]) await backpressure.watch(of, usage);
  assert.equal(told.length, 1);
  pass(5_000);
  await backpressure.watch(of, free);
  assert.deepEqual(
    told.map((each) => each.full),
    [true, false],
  );
});

test("a stage before the sinks with more to do than they have is the cause", async () => {
  const { told, backpressure } = setUp({ RAW: 2, CLEAN: 5, ENRICHED: 3 });
  await backpressure.watch(of, full);
  assert.equal(told[0]?.because, "inference lags by 5 batches");
});

test("where results lag the groups are named that they may wait for", async () => {
  for (const [stored, because] of [
    [{}, "results lags by 7 bytes; must-deliver groups: billing, handlers"],
    [{ PARKED: 4 }, "parked lags by 4 batches; must-deliver groups: billing, handlers"],
  ] as const) {
    const { told, backpressure } = setUp(stored, "results");
    await backpressure.watch(of, full);
    assert.equal(told[0]?.because, because);
  }
});

import assert from "node:assert/strict";
import { test } from "node:test";
import type { ConsumerState, QueueState } from "@millrace/messaging";
import { createConsumerTrack } from "./consumer-track.js";
import { createSequenceTimes } from "./sequence-times.js";
import { stageLag } from "./stage-lag.js";

const idle: ConsumerState = {
  pending: 0,
  ackPending: 0,
  redelivered: 0,
  deliveries: 0,
  floorSeq: 0,
  createdMs: 1,
};
const empty: QueueState = { messages: 0, bytes: 0, bytesMax: 1, lastSeq: 0, oldestMs: 0, createdMs: 1 };

function startTrack() {
  const times = createSequenceTimes();
  const track = createConsumerTrack({ name: "c", times, windowMs: 30_000, staleMs: 15_000 });
  const add = (seconds: number, state: Partial<ConsumerState>, queue: Partial<QueueState>): void => {
    times.record(seconds * 1000, queue.lastSeq ?? 0);
    track.add(seconds * 1000, { ...idle, ...state }, { ...empty, ...queue });
  };
  const read = (seconds: number) => {
    const reading = track.read(seconds * 1000);
    return reading === undefined ? undefined : stageLag([reading]);
  };
  return { track, add, read };
}

test("lag in seconds is what waits by the rate at which it was settled", () => {
  const { add, read } = startTrack();
  add(0, { pending: 1_000 }, { lastSeq: 1_000, oldestMs: 500 });
  add(1, { pending: 940, ackPending: 10, deliveries: 60, floorSeq: 50 }, { lastSeq: 1_000, oldestMs: 1_500 });
  add(
    2,
    { pending: 890, ackPending: 10, deliveries: 110, floorSeq: 100 },
    { lastSeq: 1_000, oldestMs: 2_500 },
  );
  assert.equal(read(2)?.lagBatches, 900);
  assert.equal(read(2)?.lagSeconds, 18);
});

test("the first sample has no rate yet: the age stands in", () => {
  const { add, read } = startTrack();
  add(100, { pending: 10 }, { lastSeq: 10, oldestMs: 4_000 });
  assert.deepEqual(read(101), { lagBatches: 10, lagSeconds: 5, oldestAgeSeconds: 5 });
});

test("nothing settled: the age stands in", () => {
  const { add, read } = startTrack();
  add(0, { ackPending: 3, deliveries: 3 }, { lastSeq: 3, oldestMs: 60_000 });
  add(10, { ackPending: 3, deliveries: 3 }, { lastSeq: 3, oldestMs: 70_000 });
  assert.deepEqual(read(10), { lagBatches: 3, lagSeconds: 70, oldestAgeSeconds: 70 });
});

test("no lag is 0, however slow it was", () => {
  const { add, read } = startTrack();
  add(0, { pending: 1 }, { lastSeq: 1, oldestMs: 9_000 });
  add(1, { deliveries: 1, floorSeq: 1 }, { lastSeq: 1 });
  assert.deepEqual(read(1), { lagBatches: 0, lagSeconds: 0, oldestAgeSeconds: 0 });
});

test("time without work is no part of the rate: who gets little is not slow", () => {
  const { add, read } = startTrack();
  for (let at = 0; at < 28; at++) add(at, { deliveries: 5, floorSeq: 5 }, { lastSeq: 5 });
  add(28, { pending: 1, deliveries: 5, floorSeq: 5 }, { lastSeq: 6, oldestMs: 10 });
  add(29, { pending: 1, deliveries: 6, floorSeq: 6 }, { lastSeq: 7, oldestMs: 10 });
  // One settled in the two seconds with work, and one waits.
  assert.equal(read(29)?.lagSeconds, 2);
});

test("a batch that is given back again and again is no progress", () => {
  const { add, read } = startTrack();
  add(0, { pending: 5, ackPending: 1, deliveries: 1, redelivered: 0 }, { lastSeq: 6, oldestMs: 1_000 });
  for (let at = 1; at <= 10; at++) {
    const state = { pending: 5, ackPending: 1, deliveries: 1 + 20 * at, redelivered: 1 };
    add(at, state, { lastSeq: 6, oldestMs: 1_000 + 1000 * at });
  }
  assert.equal(read(10)?.lagSeconds, 11, "the age, as nothing was settled");
});

test("the age is bounded by the floor's number, the last time without lag, the oldest message", () => {
  const byFloor = startTrack();
  for (let at = 0; at <= 10; at++) {
    const state = { pending: 100 - at, deliveries: 10 * at, floorSeq: 10 * at };
    byFloor.add(at, state, { lastSeq: 10 * (at + 2), oldestMs: 60_000 });
  }
  // At 8 s the last number was 100, which is the floor now: what is older is settled.
  assert.equal(byFloor.read(10)?.oldestAgeSeconds, 2);

  const byIdle = startTrack();
  byIdle.add(0, { floorSeq: 3 }, { lastSeq: 3 });
  byIdle.add(5, { floorSeq: 3 }, { lastSeq: 90, oldestMs: 5_000 });
  byIdle.add(6, { pending: 1, floorSeq: 3 }, { lastSeq: 91, oldestMs: 6_000 });
  assert.equal(byIdle.read(7)?.oldestAgeSeconds, 2);

  const byOldest = startTrack();
  byOldest.add(0, { pending: 1, floorSeq: 3 }, { lastSeq: 91, oldestMs: 500 });
  assert.equal(byOldest.read(1)?.oldestAgeSeconds, 1.5);
});

test("a sample that is older than 15 s, or of a consumer that is gone, says nothing", () => {
  const { track, add, read } = startTrack();
  assert.equal(read(0), undefined);
  add(0, { pending: 1 }, { lastSeq: 1 });
  track.fail("no answer", false);
  assert.equal(read(15)?.lagBatches, 1);
  assert.equal(read(15.1), undefined);
  assert.equal(track.problem(), "consumer c: no answer");
  add(16, { pending: 1 }, { lastSeq: 1 });
  track.fail("it is missing", true);
  assert.equal(read(16), undefined);
});

test("a consumer or a stream that was made anew has no rate from before", () => {
  for (const anew of [{ createdMs: 2 }, { deliveries: 3 }]) {
    const { add, read } = startTrack();
    add(0, { pending: 100, deliveries: 10 }, { lastSeq: 110 });
    add(1, { pending: 10, deliveries: 100 }, { lastSeq: 110 });
    add(2, { pending: 10, deliveries: 100, ...anew }, { lastSeq: 110, oldestMs: 7_000 });
    assert.equal(read(2)?.lagSeconds, 7, "the age");
  }
});

test("consumers of a stage add up, and the oldest of them counts", () => {
  const one = startTrack();
  const other = startTrack();
  one.add(0, { pending: 20 }, { lastSeq: 40, oldestMs: 1_000 });
  other.add(0, { pending: 20 }, { lastSeq: 40, oldestMs: 1_000 });
  one.add(10, { pending: 0, deliveries: 20, floorSeq: 40 }, { lastSeq: 40 });
  other.add(10, { pending: 10, deliveries: 10, floorSeq: 20 }, { lastSeq: 40, oldestMs: 11_000 });
  const readings = [one, other].flatMap(({ track }) => track.read(10_000) ?? []);
  // 30 in 10 s by both, 10 left.
  assert.deepEqual(
    { ...stageLag(readings), lagSeconds: Math.round(stageLag(readings).lagSeconds * 1000) },
    { lagBatches: 10, lagSeconds: 3_333, oldestAgeSeconds: 11 },
  );
});

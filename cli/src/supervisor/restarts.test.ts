import assert from "node:assert/strict";
import test from "node:test";
import { restartPolicyDefault, restartSchedule } from "./restarts.js";

const policy = {
  ...restartPolicyDefault,
  firstMs: 100,
  mostMs: 1_000,
  steadyMs: 5_000,
  restartsMax: 6,
  windowMs: 60_000,
};

test("waits double up to their bound", () => {
  const schedule = restartSchedule(policy, () => 1);
  assert.deepEqual(
    [0, 1, 2, 3, 4, 5].map((at) => schedule.next(at, 0)),
    [100, 200, 400, 800, 1_000, 1_000],
  );
});

test("jitter takes off up to half of a wait", () => {
  assert.equal(restartSchedule(policy, () => 0).next(0, 0), 50);
  assert.equal(restartSchedule(policy, () => 0.5).next(0, 0), 75);
});

test("a program that was steady starts from the first wait again", () => {
  const schedule = restartSchedule(policy, () => 1);
  assert.deepEqual([schedule.next(0, 0), schedule.next(1, 0), schedule.next(2, 5_000)], [100, 200, 100]);
});

test("a program is given up after too many restarts within the window, not before", () => {
  const schedule = restartSchedule(policy, () => 1);
  for (let i = 0; i < 6; i++) assert.notEqual(schedule.next(i, 0), undefined);
  assert.equal(schedule.next(6, 0), undefined);
  const slow = restartSchedule(policy, () => 1);
  for (let i = 0; i < 50; i++) assert.notEqual(slow.next(i * 10_001, 0), undefined);
});

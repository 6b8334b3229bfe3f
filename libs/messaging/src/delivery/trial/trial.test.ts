import assert from "node:assert/strict";
import { test } from "node:test";
import { buildBatch } from "@millrace/envelope/testing";
import { Stream } from "@millrace/proto/stream";
import { testRuntime } from "@millrace/runtime/testing";
import { createTrial, type Trial } from "./trial.js";

const never = new AbortController().signal;

function poisonTrial(budgetMs = 1_000): Trial {
  return createTrial({
    runtime: testRuntime(),
    module: new URL("../../testing/poison.js", import.meta.url),
    config: {},
    streamOf: async () => Stream.create(),
    budgetMs,
  });
}

const kinds: [text: string, reason: RegExp][] = [
  ["throws", /^unexpected TypeError$/],
  ["loops", /no end within 1000 ms/],
  ["exits", /it ended the process \(exit code 0\)/],
  ["aborts", /it ended the process \(SIGABRT\)/],
  ["killed", /it ended the process \(SIGKILL\)/],
  ["grows", /it ended the process/],
];
for (const [text, reason] of kinds) {
  test(`a message that ${text} is found among others, and this process lives`, async () => {
    const trial = poisonTrial(text === "grows" ? 20_000 : 1_000);
    const texts = Array.from({ length: 8 }, (_, row) => (row === 5 ? text : `text ${row}`));
    const { passed, failed } = await trial.judge(buildBatch({ texts }), never);
    assert.deepEqual(
      failed.map(({ row }) => row),
      [5],
    );
    assert.match(failed[0]?.error.message ?? "", reason);
    assert.equal(
      passed.reduce((sum, { from, to }) => sum + to - from, 0),
      7,
    );
    await trial.stop?.(never);
  });
}

test("a batch that waits for another's trial is judged after it", async () => {
  const trial = poisonTrial();
  const [one, other] = await Promise.all([
    trial.judge(buildBatch({ texts: ["a", "exits"] }), never),
    trial.judge(buildBatch({ texts: ["b", "c"] }), never),
  ]);
  assert.deepEqual([one.failed.length, other.failed.length], [1, 0]);
  await trial.stop?.(never);
});

test("a stop ends a trial at once and blames no message", async () => {
  const trial = poisonTrial(60_000);
  const hard = new AbortController();
  const judging = trial.judge(buildBatch({ texts: ["loops"] }), hard.signal);
  hard.abort();
  await assert.rejects(judging, { code: "canceled" });
  await trial.stop?.(never);
});

test("a module that can't be loaded makes its batches wait, not die", async () => {
  const trial = createTrial({
    runtime: testRuntime(),
    module: new URL("./no-such-module.js", import.meta.url),
    config: {},
    streamOf: async () => Stream.create(),
  });
  await assert.rejects(trial.judge(buildBatch({ texts: ["a"] }), never), { code: "unavailable" });
});

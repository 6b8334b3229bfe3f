import assert from "node:assert/strict";
import { test } from "node:test";
import { createPublisher, storedSizes } from "@millrace/messaging";
import { natsWorkbench } from "@millrace/messaging/testing";
import { Stream } from "@millrace/proto/stream";
import { eventually } from "@millrace/runtime/testing";
import { createResultBudget, type ResultBudgetOptions } from "./result-budget.js";
import { makeRoom } from "./result-store.js";

const bench = natsWorkbench();
const budgetBytes = 10_000;
const stream = Stream.fromPartial({ name: "kept", outputs: { results: { bytes: budgetBytes } } });
const subject = "result.default.kept";
const ungrouped = { groupsOf: () => [], floorOf: async () => 0, now: () => 0 };

/** The budget as one life of the service has it. */
async function startLife() {
  const output = await bench.connect("output");
  const publisher = createPublisher(output);
  const options: ResultBudgetOptions = {
    storedSizes: (of) => storedSizes(output, "RESULT", of),
    purge: async (filter, seq) => void (await output.manager.streams.purge("RESULT", { filter, seq })),
    ...ungrouped,
    onError: (what, error) => assert.fail(`${what}: ${String(error)}`),
  };
  const budget = createResultBudget(options);
  let published = 0;
  const publish = async (bytes: number): Promise<number> => {
    const id = `${performance.now()}-${published++}`;
    const { seq } = await publisher.publish({ subject, data: new Uint8Array(bytes), id, ttlSeconds: 3_600 });
    budget.add("default", stream, { seq, bytes, timeMs: performance.timeOrigin + performance.now() });
    return seq;
  };
  return { publish, sizes: () => storedSizes(output, "RESULT", subject) };
}

test("results stay within their bytes, also those that an earlier life left", async () => {
  const first = await startLife();
  for (let at = 0; at < 9; at++) await first.publish(1_000);
  assert.equal((await first.sizes()).length, 9);
  const second = await startLife();
  const last = await second.publish(2_000);
  const sizes = await eventually(
    async () => {
      const stored = await second.sizes();
      return stored.length < 10 ? stored : undefined;
    },
    { what: "the oldest are removed" },
  );
  const total = sizes.reduce((sum, { bytes }) => sum + bytes, 0);
  assert.ok(total <= budgetBytes && total > budgetBytes / 2, `${total} bytes`);
  assert.equal(sizes.at(-1)?.seq, last);
});

test("sizes that can't be read are asked for again", async () => {
  const errors: string[] = [];
  const purged: number[] = [];
  let isAway = true;
  const budget = createResultBudget({
    storedSizes: async () => {
      if (isAway) throw new Error("away");
      return [1, 2, 3].map((seq) => ({ seq, bytes: 4_000, timeMs: 0 }));
    },
    purge: async (_, seq) => void purged.push(seq),
    ...ungrouped,
    onError: (what) => errors.push(what),
  });
  budget.add("default", stream, { seq: 2, bytes: 4_000, timeMs: 0 });
  await eventually(() => errors.length > 0, { what: "the error" });
  isAway = false;
  budget.add("default", stream, { seq: 3, bytes: 4_000, timeMs: 0 });
  await eventually(() => purged.length > 0, { what: "the purge" });
  assert.deepEqual(purged, [2]);
});

test("what a must-deliver group has not settled is kept, and its stream waits", async () => {
  const purged: number[] = [];
  let floor = 0;
  let now = 0;
  const budget = createResultBudget({
    storedSizes: async () => [1, 2, 3].map((seq) => ({ seq, bytes: 3_000, timeMs: 0 })),
    purge: async (_, seq) => void purged.push(seq),
    groupsOf: () => ["g"],
    floorOf: async () => floor,
    now: () => now,
    onError: (what) => assert.fail(what),
  });
  assert.equal(budget.ages("default", stream), false);
  await assert.rejects(budget.room("default", stream, { id: "a", bytes: 2_000 }), {
    code: "resource_exhausted",
    scope: "stream",
    message: "results: not settled by must-deliver group g",
  });
  // Beyond their age they stay too.
  now = 4_000_000;
  await budget.sweep([{ tenant: "default", stream }]);
  assert.deepEqual(purged, []);
  floor = 2;
  await budget.room("default", stream, { id: "a", bytes: 2_000 });
  assert.deepEqual(purged, [2]);
  await budget.sweep([{ tenant: "default", stream }]);
  assert.deepEqual(purged, [2, 3]);
  // What is let in and not stored yet counts: 3,000 are left, and 2,000 are on their way.
  await assert.rejects(budget.room("default", stream, { id: "b", bytes: 6_000 }), { scope: "stream" });
  budget.stored("default", stream, "a");
  await budget.room("default", stream, { id: "b", bytes: 6_000 });
});

test("where the store of all results fills up, only streams without such groups make room", async () => {
  const left: [string, number][] = [];
  const counts = new Map([
    ["result.default.held", 10],
    ["result.default.free", 10],
  ]);
  const store = (bytes: number) => ({
    state: async () => ({ bytes, bytesMax: 100, counts }),
    isHeld: (of: string) => of.endsWith("held"),
    keepNewest: async (of: string, count: number) => void left.push([of, count]),
  });
  await makeRoom(store(80));
  assert.deepEqual(left, []);
  await makeRoom(store(90));
  assert.deepEqual(left, [["result.default.free", 7]]);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { createPublisher, storedSizes } from "@millrace/messaging";
import { natsWorkbench } from "@millrace/messaging/testing";
import { Stream } from "@millrace/proto/stream";
import { eventually } from "@millrace/runtime/testing";
import { createResultBudget, type ResultBudgetOptions } from "./result-budget.js";

const bench = natsWorkbench();
const budgetBytes = 10_000;
const stream = Stream.fromPartial({ name: "kept", outputs: { results: { bytes: budgetBytes } } });
const subject = "result.default.kept";

/** The budget as one life of the service has it. */
async function startLife() {
  const output = await bench.connect("output");
  const publisher = createPublisher(output);
  const options: ResultBudgetOptions = {
    storedSizes: (of) => storedSizes(output, "RESULT", of),
    purge: async (filter, seq) => void (await output.manager.streams.purge("RESULT", { filter, seq })),
    onError: (what, error) => assert.fail(`${what}: ${String(error)}`),
  };
  const budget = createResultBudget(options);
  let published = 0;
  const publish = async (bytes: number): Promise<number> => {
    const id = `${performance.now()}-${published++}`;
    const { seq } = await publisher.publish({ subject, data: new Uint8Array(bytes), id, ttlSeconds: 3_600 });
    budget.add("default", stream, seq, bytes);
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
  assert.deepEqual(sizes.at(-1), { seq: last, bytes: 2_000 });
});

test("sizes that can't be read are asked for again", async () => {
  const errors: string[] = [];
  const purged: number[] = [];
  let isAway = true;
  const budget = createResultBudget({
    storedSizes: async () => {
      if (isAway) throw new Error("away");
      return [1, 2, 3].map((seq) => ({ seq, bytes: 4_000 }));
    },
    purge: async (_, seq) => void purged.push(seq),
    onError: (what) => errors.push(what),
  });
  budget.add("default", stream, 2, 4_000);
  await eventually(() => errors.length > 0, { what: "the error" });
  isAway = false;
  budget.add("default", stream, 3, 4_000);
  await eventually(() => purged.length > 0, { what: "the purge" });
  assert.deepEqual(purged, [2]);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { CodedError } from "@millrace/errors";
import fc from "fast-check";
import { findFailing, type Rows } from "./find-failing.js";

const broken = new CodedError("internal", "broken");

test("exactly the rows that fail alone are found, and every other one passes once", async () => {
  const cases = fc.tuple(fc.integer({ min: 1, max: 300 }), fc.uniqueArray(fc.nat(299), { maxLength: 12 }));
  await fc.assert(
    fc.asyncProperty(cases, async ([count, drawn]) => {
      const bad = drawn.filter((row) => row < count).sort((a, b) => a - b);
      const { passed, failed } = await findFailing(count, async ({ from, to }) =>
        bad.some((row) => row >= from && row < to) ? broken : undefined,
      );
      const rows = passed.flatMap(({ from, to }) => Array.from({ length: to - from }, (_, at) => from + at));
      assert.deepEqual(
        failed,
        bad.map((row) => ({ row, error: broken })),
      );
      assert.deepEqual(
        [...rows, ...bad].sort((a, b) => a - b),
        Array.from({ length: count }, (_, row) => row),
      );
    }),
    { numRuns: 100 },
  );
});

test("rows that fail only together pass apart", async () => {
  const together = async ({ from, to }: Rows) => (from <= 1 && to > 5 ? broken : undefined);
  const { passed, failed } = await findFailing(16, together);
  assert.deepEqual(failed, []);
  assert.equal(passed.length, 8);
});

test("one bad row of a full batch costs five failures, since each may take its whole time", async () => {
  let failures = 0;
  await findFailing(8_192, async ({ from, to }) => {
    if (from > 5_000 || to <= 5_000) return undefined;
    failures += 1;
    return broken;
  });
  assert.equal(failures, 6);
});

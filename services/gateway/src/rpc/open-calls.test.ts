import assert from "node:assert/strict";
import { test } from "node:test";
import { createOpenCalls } from "./open-calls.js";

test("the count of open calls is told with each that opens and closes, once", () => {
  const counts: number[] = [];
  const calls = createOpenCalls({ openMax: 2, setting: "limits.x", onCount: (open) => counts.push(open) });
  const one = calls.open("a");
  const other = calls.open("b");
  assert.throws(() => calls.open("c"), /2 are open/);
  one.close();
  one.close();
  other.close();
  assert.deepEqual(counts, [1, 2, 1, 1, 0]);
});

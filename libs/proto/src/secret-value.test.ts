import assert from "node:assert/strict";
import test from "node:test";
import type { Value } from "./gen/millrace/source/v1/source.js";
import { shownValue } from "./secret-value.js";

test("an inline value is not shown, the name of a secret is", () => {
  const text = (value: string): Value => ({ kind: { $case: "text", value } });
  const named: Value = { kind: { $case: "secret", value: "feed-token" } };
  assert.deepEqual(shownValue(text("hunter2")), text("***"));
  assert.deepEqual(shownValue(named), named);
});

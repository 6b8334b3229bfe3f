import assert from "node:assert/strict";
import { test } from "node:test";
import { quantityOf } from "./quantity.js";

test("quantities are whole, or thousandths rounded up", () => {
  assert.deepEqual([0, 7, 1.5, 0.0001, 2 ** 52].map(quantityOf), [
    "0",
    "7",
    "1500m",
    "1m",
    "4503599627370496",
  ]);
});

test("what is no number is never told", () => {
  for (const value of [Number.NaN, Infinity, -1]) assert.throws(() => quantityOf(value));
});

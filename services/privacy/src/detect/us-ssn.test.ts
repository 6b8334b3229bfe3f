import assert from "node:assert/strict";
import test from "node:test";
import { foundIn } from "./quality/found-in.js";

test("finds numbers with dashes and with spaces", () => {
  assert.deepEqual(foundIn("ssn 123-45-6789."), ["SSN 123-45-6789"]);
  assert.deepEqual(foundIn("ssn 123 45 6789,"), ["SSN 123 45 6789"]);
  assert.deepEqual(foundIn("2 123-45-6789"), ["SSN 123-45-6789"]);
});

test("refuses areas, groups and serials that are never issued, and other shapes", () => {
  const others = [
    "000-45-6789",
    "666-45-6789",
    "900-45-6789",
    "123-00-6789",
    "123-45-0000",
    "123456789",
    "123-45 6789",
    "1-123-45-6789",
    "123-45-6789-1",
    "x123-45-6789",
    "123-45-67890",
    "100 123 45 6789 200",
  ];
  for (const text of others) assert.deepEqual(foundIn(text), [], text);
});

import assert from "node:assert/strict";
import test from "node:test";
import { isAtLeast } from "./server-version.js";

test("versions are compared by number, not by letter", () => {
  assert.equal(isAtLeast("2.15.1", "2.15.1"), true);
  assert.equal(isAtLeast("2.15.10", "2.15.9"), true);
  assert.equal(isAtLeast("3.0.0", "2.15.1"), true);
  assert.equal(isAtLeast("2.9.10", "2.15.1"), false);
});

test("a preview of the least version is too old, of a later one new enough", () => {
  assert.equal(isAtLeast("2.15.1-RC.1", "2.15.1"), false);
  assert.equal(isAtLeast("2.16.0-RC.1", "2.15.1"), true);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { parseBound, parseRate } from "./replay.js";

test("a bound is a time or a position, and nothing else", () => {
  assert.deepEqual(parseBound("2026-01-31T12:00:00Z"), new Date(Date.UTC(2026, 0, 31, 12)));
  assert.deepEqual(parseBound("2026-01-31"), new Date(Date.UTC(2026, 0, 31)));
  assert.deepEqual(parseBound(`${"a".repeat(32)}:17`), { source: "a".repeat(32), offset: 17 });
  for (const bad of ["", "yesterday", "2026-13-01", "17", "short:1", `${"a".repeat(32)}:-1`]) {
    assert.throws(() => parseBound(bad), /Give a time/, bad);
  }
});

test("a rate counts messages, or bytes by their unit", () => {
  assert.deepEqual(parseRate("500"), { messagesPerSecond: 500 });
  assert.deepEqual(parseRate("500/s"), { messagesPerSecond: 500 });
  assert.deepEqual(parseRate("2MB/s"), { bytesPerSecond: "2MB" });
  for (const bad of ["", "0", "fast", "-1", "2XB"]) assert.throws(() => parseRate(bad), /Give messages/, bad);
});

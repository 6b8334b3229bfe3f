import assert from "node:assert/strict";
import { test } from "node:test";
import { fromWireDuration, parseDuration, toWireDuration } from "./duration.js";
import { parseSize } from "./size.js";

test("durations are read with their unit", () => {
  const read = ["250ms", "1s", "1.5s", "5m", "1h", "7d", 40].map((value) => parseDuration(value, "f"));
  assert.deepEqual(read, [250, 1_000, 1_500, 300_000, 3_600_000, 604_800_000, 40]);
  assert.equal(fromWireDuration(toWireDuration(61_250)), 61_250);
});

test("sizes count by 1000 or, with an i, by 1024", () => {
  const read = ["10B", "512KB", "128MB", "64MiB", "1GB", "1.5KiB", 4096].map((value) =>
    parseSize(value, "f"),
  );
  assert.deepEqual(read, [10, 512_000, 128_000_000, 67_108_864, 1_000_000_000, 1_536, 4_096]);
});

test("what is no duration or size is refused with its name", () => {
  for (const value of [
    "",
    "1",
    "s",
    "-1s",
    "1 s",
    "1S",
    "0s",
    "1e3s",
    "0.5ms",
    0,
    -5,
    1.5,
    Number.NaN,
    "1s ",
  ]) {
    assert.throws(() => parseDuration(value, "pollInterval"), { field: "pollInterval" }, String(value));
  }
  for (const value of [
    "",
    "1",
    "MB",
    "-1MB",
    "1 MB",
    "1mb",
    "0B",
    "1e3B",
    0,
    -5,
    1.5,
    Infinity,
    "999999999TB",
  ]) {
    assert.throws(() => parseSize(value, "bytes"), { field: "bytes" }, String(value));
  }
});

import assert from "node:assert/strict";
import test from "node:test";
import { findBehind, findGrown, findRedelivered, type Held, type Lag } from "./run-checkers.js";

const lags: Lag[] = [
  { atMs: 100, messages: 900 },
  { atMs: 5_000, messages: 20 },
  { atMs: 9_000, messages: 0 },
];

test("a lag that is 0 in time passes; one that is late, comes back or was not watched does not", () => {
  assert.deepEqual(findBehind(lags, 9_000), []);
  assert.deepEqual(findBehind(lags, 20_000), []);
  assert.deepEqual(findBehind(lags, 4_000), ["20 messages behind after 5000 ms"]);
  assert.deepEqual(findBehind([...lags, { atMs: 9_500, messages: 1 }], 9_000), [
    "1 messages behind after 9500 ms",
  ]);
  assert.equal(findBehind(lags.slice(0, 2), 20_000).length, 1);
  assert.equal(findBehind([], 20_000).length, 1);
});

test("one redelivery more than the bound is found", () => {
  const input = { stage: "store", stored: 100, delivered: 110 };
  assert.deepEqual(findRedelivered([input], 10), []);
  assert.deepEqual(findRedelivered([input, { ...input, stage: "results", delivered: 111 }], 10), [
    "results was handed 11 batches again",
  ]);
});

test("memory above its bound, a leaked descriptor and a process that is gone are found", () => {
  const held = (files: number, megabytes: number): Held[] => [
    { program: "buffer", rssAnonBytes: 50e6, files: 30 },
    { program: "output", rssAnonBytes: megabytes * 1e6, files },
  ];
  const bounds = { rssAnonBytesMax: 300e6, filesMoreMax: 4 };
  const before = held(30, 100);
  assert.deepEqual(findGrown({ before, during: held(90, 290), after: held(34, 100) }, bounds), []);
  assert.deepEqual(findGrown({ before, during: held(30, 301), after: before }, bounds), [
    "output held 301 MB",
  ]);
  assert.deepEqual(findGrown({ before, during: before, after: held(35, 100) }, bounds), [
    "output holds 5 more files than before",
  ]);
  assert.deepEqual(findGrown({ before, during: before, after: before.slice(1) }, bounds), ["buffer is gone"]);
});

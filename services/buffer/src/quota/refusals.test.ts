import assert from "node:assert/strict";
import { test } from "node:test";
import { CodedError } from "@millrace/errors";
import { createRefusals } from "./refusals.js";

const full = (subject: string): CodedError =>
  new CodedError("resource_exhausted", "append: full", { subject });

test("streams are counted by who waits for what, until they were not refused for a while", () => {
  const clock = { ms: 0 };
  const refusals = createRefusals(() => clock.ms);
  assert.deepEqual(refusals.waiting(), []);
  for (const stream of ["a", "b", "b"]) refusals.note({ sender: "gateway", stream }, full("bus:raw"));
  refusals.note({ sender: "ingestion", stream: "a" }, full("segments:disk"));
  const gateway = { waiter: "gateway", for: "bus:raw" };
  const ingestion = { waiter: "ingestion", for: "segments:disk" };
  assert.deepEqual(refusals.waiting(), [
    { ...gateway, streams: 2 },
    { ...ingestion, streams: 1 },
  ]);
  clock.ms = 4_000;
  refusals.note({ sender: "gateway", stream: "a" }, full("bus:raw"));
  clock.ms = 6_000;
  assert.deepEqual(refusals.waiting(), [
    { ...gateway, streams: 1 },
    { ...ingestion, streams: 0 },
  ]);
  clock.ms = 10_000;
  assert.deepEqual(refusals.waiting(), [{ ...gateway, streams: 0 }]);
  assert.deepEqual(refusals.waiting(), []);
});

test("neither the quota of a stream nor what is no overload is counted", () => {
  const refusals = createRefusals(() => 0);
  const by = { sender: "gateway", stream: "a" };
  refusals.note(by, full("stream:a"));
  refusals.note(by, new CodedError("unavailable", "append: no answer"));
  refusals.note(by, new CodedError("invalid_argument", "append: no batch", { field: "batch" }));
  assert.deepEqual(refusals.waiting(), []);
});

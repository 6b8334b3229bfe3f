import assert from "node:assert/strict";
import { test } from "node:test";
import { Source, SourceReport } from "@millrace/proto/source";
import { Stream, StreamState } from "@millrace/proto/stream";
import { createSourceSamples } from "./source-samples.js";

const file = { $case: "file" as const, value: { path: "/in" } };
const source = (id: string, paused = false): Source =>
  Source.fromPartial({ id, stream: "s", paused, kind: file });
const report = (lagMessages: number | undefined, lagSeconds: number | undefined): SourceReport => ({
  ...SourceReport.create(),
  lagMessages,
  lagSeconds,
});

test("sources lag by the sum of messages and the most seconds, and unknown is an error", async () => {
  const reports = new Map([
    ["default.s.a", report(10, 2)],
    ["default.s.b", report(5, 7)],
  ]);
  const sources = [source("a"), source("b"), source("paused", true)];
  let nowMs = 0;
  const samples = createSourceSamples({
    list: () => [
      { tenant: "default", stream: Stream.fromPartial({ name: "s" }), sources },
      {
        tenant: "default",
        stream: Stream.fromPartial({ name: "p", state: StreamState.STREAM_STATE_PAUSED }),
        sources: [source("of a paused stream")],
      },
    ],
    readReports: async () => reports,
    isConnected: () => true,
    monotonic: () => nowMs,
  });
  assert.throws(() => samples.read("source_lag_seconds"), { code: "unavailable" });
  await samples.take();
  assert.equal(samples.read("source_lag_messages"), 15);
  assert.equal(samples.read("source_lag_seconds"), 7);
  reports.set("default.s.b", report(undefined, 7));
  assert.throws(() => samples.read("source_lag_messages"), { code: "unavailable" });
  assert.equal(samples.read("source_lag_seconds"), 7);
  sources.push(source("not reported"));
  assert.throws(() => samples.read("source_lag_seconds"), { code: "unavailable" });
  sources.length = 0;
  assert.equal(samples.read("source_lag_messages"), 0);
  nowMs = 60_000;
  assert.throws(() => samples.read("source_lag_messages"), { code: "unavailable" });
});

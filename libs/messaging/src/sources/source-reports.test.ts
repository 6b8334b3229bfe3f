import assert from "node:assert/strict";
import { test } from "node:test";
import { SourceReport, SourceState } from "@millrace/proto/source";
import { mergeReports, reportStaleMs } from "./source-reports.js";

const nowMs = 1_000_000;
const share = (holder: string, given: Partial<SourceReport>): SourceReport =>
  SourceReport.fromPartial({
    id: "a",
    stream: "s",
    state: SourceState.SOURCE_STATE_RUNNING,
    timeMs: nowMs,
    holder,
    lagMessages: 1,
    lagSeconds: 1,
    ...given,
  });

test("shares of replicas add up, the worst state is told, and what one does not know is not known", () => {
  const one = share("i-0", { lagMessages: 5, lagSeconds: 2, position: "t-0: 7" });
  const failed = share("i-1", { state: SourceState.SOURCE_STATE_FAILED, lastError: "no broker" });
  const both = mergeReports([one, failed], nowMs);
  assert.deepEqual([both.holder, both.lagMessages, both.lagSeconds], ["i-0, i-1", 6, 2]);
  assert.deepEqual([both.state, both.lastError], [SourceState.SOURCE_STATE_FAILED, "no broker"]);
  assert.equal(mergeReports([one, share("i-1", { lagMessages: undefined })], nowMs).lagMessages, undefined);
});

test("a replica that is gone does not count, and where all are nothing is told of the lag", () => {
  const gone = share("i-1", { timeMs: nowMs - reportStaleMs - 1, lagMessages: 50 });
  assert.equal(mergeReports([gone, share("i-0", {})], nowMs).lagMessages, 1);
  const { state, holder, lagMessages, lastError } = mergeReports([gone], nowMs);
  assert.deepEqual([state, holder, lagMessages], [SourceState.SOURCE_STATE_WAITING, "", undefined]);
  assert.match(lastError, /no replica/);
});

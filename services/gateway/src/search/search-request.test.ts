import assert from "node:assert/strict";
import test from "node:test";
import { SearchRequest } from "@millrace/proto/search";
import { epochSource } from "../publish/epochs.js";
import { checkSearch, sourceOfAfter } from "./search-request.js";

type Given = Parameters<typeof SearchRequest.fromPartial>[0];
const check = (given: Given) => checkSearch(SearchRequest.fromPartial({ query: "mountains", ...given }));

test("defaults are filled in", () => {
  const { maxResults, waitMs, after, minScore } = check({});
  assert.deepEqual([maxResults, waitMs, after, minScore], [10, 5_000, undefined, undefined]);
});

test("each bad field is refused by name, and the query is never in the error", () => {
  const secret = "canary-4711";
  const source = "0".repeat(32);
  const cases: [field: string, given: Given][] = [
    ["query", { query: "" }],
    ["query", { query: secret.repeat(1_000) }],
    ["max_results", { maxResults: 1_001 }],
    ["min_score", { minScore: 1.5 }],
    ["min_score", { minScore: Number.NaN }],
    ["streams", { streams: ["No"] }],
    ["artifacts", { artifacts: ["x"] }],
    ["after_stream", { after: { source, offset: 1 } }],
    ["after.source", { after: { source: "*", offset: 1 }, afterStream: "notes" }],
    ["wait", { wait: { seconds: 31, nanos: 0 } }],
  ];
  for (const [field, given] of cases) {
    assert.throws(
      () => check({ query: secret, ...given }),
      (error: Error & { field?: string }) => {
        assert.equal(error.field, field);
        assert.ok(!String(error).includes(secret));
        return true;
      },
    );
  }
});

test("a position of a publish stream names its epoch in the place of the source's key", () => {
  const of = { tenant: "default", stream: "notes" };
  const epoch = "0190f0aa-0000-7000-8000-000000000000";
  assert.equal(sourceOfAfter(of, 3, "0".repeat(32)), "0".repeat(32));
  assert.equal(sourceOfAfter(of, 3, epoch), epochSource(of, 3, epoch));
});

import assert from "node:assert/strict";
import test from "node:test";
import type { Entry } from "@millrace/proto/ledger";
import { Outputs } from "@millrace/proto/stream";
import { conserve, type LedgerEntry, sinkCounts, sinksOf, sourceStatuses } from "./conservation.js";

interface Counts extends Partial<Entry> {
  source?: string;
  span?: [from: number, to: number];
}

function entry(stage: string, { source = "s", span, ...counts }: Counts): LedgerEntry {
  const settled = span === undefined ? [] : [{ from: span[0], to: span[1] }];
  const nothing = { reopened: [], done: 0, dead: 0, dropped: {}, updatedMs: 0 };
  return { stage, source, entry: { ...nothing, settled, ...counts } };
}

const both = ["results", "store"];

test("what all sinks have is out, and nothing is in flight when the broker holds nothing", () => {
  const entries = [
    entry("buffer", { span: [0, 10], done: 10 }),
    entry("results", { span: [0, 10], done: 10 }),
    entry("store", { span: [0, 10], done: 10 }),
  ];
  const line = conserve(entries, both, 0);
  assert.deepEqual(line, {
    in: 10,
    out: 10,
    dead: 0,
    dropped: 0,
    inFlight: 0,
    droppedByReason: {},
    balanced: true,
  });
});

test("the slowest sink decides what is out; the rest is in flight while the broker holds batches", () => {
  const entries = [
    entry("buffer", { span: [0, 10], done: 10 }),
    entry("results", { span: [0, 10], done: 10 }),
    entry("store", { span: [0, 4], done: 4 }),
  ];
  const line = conserve(entries, both, 2);
  assert.deepEqual([line.out, line.inFlight, line.balanced], [4, 6, true]);
});

test("a message that is neither out nor dead nor dropped nor stored leaves the sum unbalanced", () => {
  const entries = [
    entry("buffer", { span: [0, 10], done: 10 }),
    entry("results", { span: [0, 9], done: 9 }),
    entry("store", { span: [0, 10], done: 10 }),
  ];
  assert.equal(conserve(entries, both, 0).balanced, false);
});

test("a message that is out twice leaves the sum unbalanced", () => {
  const entries = [
    entry("buffer", { span: [0, 10], done: 10 }),
    entry("results", { span: [0, 10], done: 11 }),
  ];
  assert.equal(conserve(entries, ["results"], 0).balanced, false);
});

test("dead upstream counts as it is, dead at several sinks counts once", () => {
  const entries = [
    entry("buffer", { span: [0, 10], done: 10, dead: 1 }),
    entry("privacy", { span: [0, 10], done: 7, dead: 2 }),
    entry("results", { span: [0, 10], done: 6, dead: 1 }),
    entry("store", { span: [0, 10], done: 6, dead: 1 }),
  ];
  const line = conserve(entries, both, 0);
  assert.deepEqual([line.in, line.out, line.dead, line.balanced], [10, 6, 4, true]);
});

test("dropped is shown by reason", () => {
  const entries = [
    entry("buffer", { span: [0, 10], done: 10 }),
    entry("inference", { span: [0, 10], done: 9, dropped: { sampled: 1 } }),
    entry("results", { span: [0, 9], done: 6, dropped: { filtered: 3 } }),
    entry("store", { span: [0, 9], done: 6, dropped: { filtered: 3 } }),
  ];
  const line = conserve(entries, both, 0);
  assert.deepEqual(line.droppedByReason, { sampled: 1, filtered: 3 });
  assert.deepEqual([line.dropped, line.balanced], [4, true]);
});

test("of a pushed source, positions that a sink settled count before buffer has written them", () => {
  const late = [entry("buffer", { span: [0, 4], done: 4 }), entry("results", { span: [0, 10], done: 10 })];
  assert.equal(conserve(late, ["results"], 0).in, 10);
  const absent = [entry("results", { span: [0, 3], done: 3 })];
  assert.equal(conserve(absent, ["results"], 0).in, 3);
});

test("of a file, whose positions are bytes, messages count and not positions", () => {
  const entries = [
    entry("buffer", { span: [0, 400], done: 4 }),
    entry("results", { span: [0, 500], done: 5 }),
  ];
  assert.equal(conserve(entries, ["results"], 1).in, 4);
  const absent = [entry("results", { span: [0, 500], done: 5 })];
  assert.equal(conserve(absent, ["results"], 1).in, 5);
});

test("sources add up", () => {
  const entries = ["s", "t"].flatMap((source) => [
    entry("buffer", { source, span: [0, 5], done: 5 }),
    entry("results", { source, span: [0, 5], done: 5 }),
  ]);
  const line = conserve(entries, ["results"], 0);
  assert.deepEqual([line.in, line.out, line.balanced], [10, 10, true]);
  assert.deepEqual(sourceStatuses(entries), [
    { source: "s", position: 5, messages: 5, lastError: "" },
    { source: "t", position: 5, messages: 5, lastError: "" },
  ]);
  assert.deepEqual(sinkCounts(entries, both), [
    { sink: "results", messages: 10 },
    { sink: "store", messages: 0 },
  ]);
});

test("events and artifacts are settled by the results sink", () => {
  assert.deepEqual(sinksOf(Outputs.fromPartial({ events: true })), ["results"]);
  assert.deepEqual(sinksOf(Outputs.fromPartial({ storage: {}, search: true })), ["store", "search"]);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Hit } from "../index/index-protocol.js";
import { mergeAndRankResults } from "./merge-results.js";

const hit = (id: string, score: number): Hit => ({
  id,
  artifact: "a",
  stream: "s",
  sourceId: "source",
  eventTimeMs: 0,
  score,
});

test("lists merge by score, and each hit says where it stood", () => {
  const ranked = mergeAndRankResults([[hit("a", 0.9), hit("b", 0.5)], [hit("c", 0.7)]], 10);
  assert.deepEqual(
    ranked.map(({ id, rank, listRanks }) => ({ id, rank, listRanks })),
    [
      { id: "a", rank: 1, listRanks: [1, undefined] },
      { id: "c", rank: 2, listRanks: [undefined, 1] },
      { id: "b", rank: 3, listRanks: [2, undefined] },
    ],
  );
});

test("a content of several lists appears once, with its best score", () => {
  const ranked = mergeAndRankResults([[hit("a", 0.4), hit("b", 0.3)], [hit("b", 0.8)]], 10);
  assert.deepEqual(
    ranked.map(({ id, score, listRanks }) => ({ id, score, listRanks })),
    [
      { id: "b", score: 0.8, listRanks: [2, 1] },
      { id: "a", score: 0.4, listRanks: [1, undefined] },
    ],
  );
});

test("equal scores are ordered by id, whatever the order of the lists", () => {
  const [one, other] = [[hit("b", 0.5)], [hit("a", 0.5)]];
  const ids = (lists: Hit[][]) => mergeAndRankResults(lists, 10).map(({ id }) => id);
  assert.deepEqual(ids([one, other]), ["a", "b"]);
  assert.deepEqual(ids([other, one]), ["a", "b"]);
});

test("no more than asked for are returned", () => {
  assert.equal(mergeAndRankResults([[hit("a", 0.5), hit("b", 0.4)]], 1).length, 1);
  assert.deepEqual(mergeAndRankResults([], 5), []);
});

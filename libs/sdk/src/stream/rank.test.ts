import assert from "node:assert/strict";
import { test } from "node:test";
import { mergeAndRankResults } from "./rank.js";

const hit = (contentId: string, score: number, artifact = "a") => ({
  contentId,
  score,
  artifact,
  stream: "s",
  sourceId: "desk",
  text: contentId,
});

test("lists of one model become one by similarity, each content once, with every place that held it", () => {
  const merged = mergeAndRankResults([
    [hit("x", 0.9, "a"), hit("y", 0.5, "a")],
    [hit("y", 0.7, "b"), hit("z", 0.7, "b")],
  ]);
  assert.deepEqual(
    merged.map(({ rank, contentId, score }) => [rank, contentId, score]),
    [
      [1, "x", 0.9],
      [2, "y", 0.7],
      [3, "z", 0.7],
    ],
  );
  const [, second] = merged;
  assert.deepEqual(
    second?.foundIn.map(({ list, rank, score, artifact }) => [list, rank, score, artifact]),
    [
      [1, 1, 0.7, "b"],
      [0, 2, 0.5, "a"],
    ],
  );
  assert.equal(
    second?.why,
    "best similarity 0.700: 0.700 at rank 1 of list 1 (artifact b), 0.500 at rank 2 of list 0 (artifact a)",
  );
});

test("where models differ, ranks count and similarities do not", () => {
  const lists = [
    { model: "one", hits: [hit("x", 0.99), hit("both", 0.98)] },
    { model: "two", hits: [hit("both", 0.3), hit("z", 0.2)] },
  ];
  const merged = mergeAndRankResults(lists);
  assert.deepEqual(
    merged.map(({ contentId }) => contentId),
    ["both", "x", "z"],
  );
  assert.equal(merged[0]?.score, 1 / 61 + 1 / 62);
  assert.match(merged[0]?.why ?? "", /^reciprocal ranks add up to 0\.0325, each 1 \/ \(60 \+ rank\)/);
  const byScore = mergeAndRankResults(lists, { by: "score", maxResults: 1 });
  assert.deepEqual(
    byScore.map(({ contentId }) => contentId),
    ["x"],
  );
});

test("the order of equals does not depend on that of the lists, and nothing merged is nothing", () => {
  const [one, two] = [[hit("b", 0.5)], [hit("a", 0.5)]];
  const ids = (lists: Parameters<typeof mergeAndRankResults>[0]) =>
    mergeAndRankResults(lists).map(({ contentId }) => contentId);
  assert.deepEqual(ids([one, two]), ["a", "b"]);
  assert.deepEqual(ids([two, one]), ["a", "b"]);
  assert.deepEqual(mergeAndRankResults([[], []]), []);
  assert.throws(() => mergeAndRankResults([], { by: "luck" as "score" }), { field: "by" });
});

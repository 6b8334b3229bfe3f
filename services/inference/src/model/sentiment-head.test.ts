import assert from "node:assert/strict";
import { test } from "node:test";
import { sentimentHead } from "./sentiment-head.js";

const model = { name: "m", dimensions: 2 };
const weights = [
  [2, 0],
  [0, 0],
  [0, 2],
];

function head(changes: object = {}): string {
  const classes = ["negative", "neutral", "positive"];
  return JSON.stringify({ model: "m", classes, weights, bias: [0, 0, 0], ...changes });
}

test("the score is the probability of positive less that of negative", () => {
  const judge = sentimentHead(head(), model);
  const { label, score } = judge(Float32Array.of(0, 1));
  assert.equal(label, "positive");
  const sum = 2 + Math.exp(2);
  assert.ok(Math.abs(score - (Math.exp(2) - 1) / sum) < 1e-12);
  assert.equal(judge(Float32Array.of(1, 0)).score, -score);
  assert.equal(judge(Float32Array.of(1, 1)).score, 0);
});

test("large weights overflow nothing", () => {
  const judge = sentimentHead(head({ bias: [-5000, 0, 5000] }), model);
  assert.deepEqual(judge(Float32Array.of(0, 0)), { label: "positive", score: 1 });
});

test("a head of another model, of other dimensions or of nonsense is refused", () => {
  for (const json of [
    head({ model: "other" }),
    head({ weights: [[1], [1], [1]] }),
    head({ bias: [] }),
    "{",
    "null",
  ]) {
    assert.throws(() => sentimentHead(json, model), { code: "failed_precondition" });
  }
});

import assert from "node:assert/strict";
import test from "node:test";
import { findingTypes } from "../finding-type.js";
import { createCorpus, createRandom } from "./corpus.js";
import { foundIn } from "./found-in.js";

const textsPerType = 2_000;
const recallMin = 0.99;
const precisionMin = 0.95;

test("finds structured personal data exactly, and little else", (t) => {
  const random = createRandom(2026);
  const counts = new Map(findingTypes.map((type) => [type, { right: 0, missed: 0, wrong: 0 }]));
  const wrongExamples: string[] = [];
  for (const type of [...findingTypes, undefined]) {
    for (const { text, planted } of createCorpus(
      type,
      type === undefined ? 4 * textsPerType : textsPerType,
      random,
    )) {
      const found = foundIn(text);
      const expected = planted.map((item) => `${item.type} ${item.value}`);
      for (const item of expected) {
        const count = counts.get(item.split(" ")[0] as (typeof findingTypes)[number]);
        if (count === undefined) continue;
        if (found.includes(item)) count.right++;
        else {
          count.missed++;
          wrongExamples.push(`missed ${item} in ${text}`);
        }
      }
      for (const item of found) {
        if (expected.includes(item)) continue;
        const count = counts.get(item.split(" ")[0] as (typeof findingTypes)[number]);
        if (count !== undefined) count.wrong++;
        wrongExamples.push(`wrong ${item} in ${text}`);
      }
    }
  }
  for (const [type, { right, missed, wrong }] of counts) {
    const recall = right / (right + missed);
    const precision = right / (right + wrong);
    t.diagnostic(`${type}: recall ${recall.toFixed(4)}, precision ${precision.toFixed(4)}`);
    const examples = wrongExamples
      .filter((example) => example.includes(` ${type} `))
      .slice(0, 12)
      .join("\n");
    assert.ok(recall >= recallMin, `${type}: recall ${recall}\n${examples}`);
    assert.ok(precision >= precisionMin, `${type}: precision ${precision}\n${examples}`);
  }
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { CodedError } from "@millrace/errors";
import { parseSelector, selectLabels } from "./label-selector.js";

const labels = { stage: ["privacy", "store"], lane: ["high", "batch"] };
const select = (text: string) => Object.fromEntries(selectLabels(parseSelector(text), labels));

const accepted: [string, Record<string, string[]>][] = [
  ["", {}],
  ["stage=privacy", { stage: ["privacy"] }],
  ["stage==privacy", { stage: ["privacy"] }],
  [" stage = privacy , lane in ( high , batch ) ", { stage: ["privacy"], lane: ["high", "batch"] }],
  ["lane in (high),stage in (store,privacy)", { stage: ["privacy", "store"], lane: ["high"] }],
  ["stage=privacy,stage in (privacy,store)", { stage: ["privacy"] }],
  ["stage=privacy,stage=store", { stage: [] }],
];
for (const [text, selected] of accepted) {
  test(`"${text}" selects ${JSON.stringify(selected)}`, () => assert.deepEqual(select(text), selected));
}

const refused: [string, RegExp][] = [
  ["stage!=privacy", /"stage!=privacy" selects by what a label is not/],
  ["!stage", /is not/],
  ["stage notin (privacy)", /is not/],
  ["stage", /"stage" is no requirement/],
  ["stage>1", /is no requirement/],
  ["stage=", /is no requirement/],
  ["stage=privacy,", /"" is no requirement/],
  ["stage in ()", /has an empty value/],
  ["stage in (privacy", /is no requirement/],
  ["colour=red", /no label colour/],
  ["__proto__=red", /no label __proto__/],
  ["stage=nowhere", /no stage nowhere/],
  [`stage=${"x".repeat(1_000)}`, /longer than 1000/],
];
for (const [text, message] of refused) {
  test(`"${text.slice(0, 30)}" is refused with what is allowed`, () => {
    assert.throws(
      () => select(text),
      (error) =>
        error instanceof CodedError &&
        error.code === "invalid_argument" &&
        error.field === "labelSelector" &&
        error.remedy !== undefined &&
        message.test(error.message),
    );
  });
}

import assert from "node:assert/strict";
import test from "node:test";
import { addLine, difference, emptySum } from "../pipeline/line-sum.js";
import { redactPlainly } from "../pipeline/plain-loop.js";
import { createNumberedTexts } from "./numbered-texts.js";

test("numbered texts have one length, parse, differ, and are redacted as foretold", () => {
  const texts = createNumberedTexts({ bytes: 1024, personal: 0.5, seed: 2 });
  const sum = emptySum();
  const seen = new Set<string>();
  for (let number = 0; number < 10_000; number++) {
    const text = texts.text(number);
    assert.equal(text.length, 1024);
    assert.equal((JSON.parse(text) as { number: number }).number, number);
    seen.add(text);
    addLine(sum, Buffer.from(redactPlainly(text)));
  }
  assert.equal(seen.size, 10_000);
  assert.equal(difference(texts.expected(10_000), sum), undefined);
  assert.notEqual(difference(texts.expected(10_001), sum), undefined);
});

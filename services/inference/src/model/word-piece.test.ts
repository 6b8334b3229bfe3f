import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { wordPiece } from "./word-piece.js";

const repository = new URL("../../../../", import.meta.url);
const tokenizer = wordPiece(readFileSync(new URL("models/vocabulary/bert-uncased.txt", repository), "utf8"));

/**
 * Made once with Hugging Face `tokenizers` 0.23 on the model's own tokenizer.json; spans turned into UTF-16.
 */
const golden: { text: string; ids: number[]; spans: [number, number][] }[] = JSON.parse(
  readFileSync(new URL("services/inference/src/model/word-piece.golden.json", repository), "utf8"),
);

for (const { text, ids, spans } of golden) {
  test(`gives the reference's ids and spans for ${JSON.stringify(text.slice(0, 40))}`, () => {
    const encoding = tokenizer.encode(text, 512);
    assert.deepEqual(encoding.ids, ids);
    assert.deepEqual(
      encoding.starts.map((start, i) => [start, encoding.ends[i]]),
      spans,
    );
    assert.equal(encoding.truncated, false);
  });
}

test("cuts to the number of tokens asked for and keeps the end token", () => {
  const words = "one two three four five six";
  const whole = tokenizer.encode(words, 8);
  assert.equal(whole.truncated, false);
  const cut = tokenizer.encode(words, 5);
  assert.deepEqual(cut.ids, [...whole.ids.slice(0, 4), whole.ids.at(-1)]);
  assert.equal(cut.truncated, true);
  assert.deepEqual(cut.starts.length, 5);
});

test("cuts inside a word of many pieces", () => {
  const cut = tokenizer.encode("electroencephalography", 4);
  assert.equal(cut.ids.length, 4);
  assert.equal(cut.ids.at(-1), 102);
});

test("drops lone surrogates and keeps the spans of what follows", () => {
  const { ids, starts, ends } = tokenizer.encode("a \ud800 b \udc00c", 16);
  const [, a, b, c] = tokenizer.encode("a b c", 16).ids;
  assert.deepEqual(ids.slice(1, -1), [a, b, c]);
  assert.deepEqual([starts[3], ends[3]], [7, 8]);
});

test("gives the same answer from its cache", () => {
  const first = tokenizer.encode("cacheable unaffable words", 32);
  assert.deepEqual(tokenizer.encode("cacheable unaffable words", 32), first);
});

test("refuses a vocabulary without the special tokens", () => {
  assert.throws(() => wordPiece("a\nb\n"), { code: "failed_precondition" });
});

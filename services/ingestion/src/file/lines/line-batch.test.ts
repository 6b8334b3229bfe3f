import assert from "node:assert/strict";
import test from "node:test";
import { stem } from "./line-batch.js";

const stems: [name: string, expected: string][] = [
  ["table-7.jsonl", "table-7"],
  ["logs/2024/shop.log.gz", "shop"],
  ["Shop.TXT", "Shop"],
  ["plain", "plain"],
  [".jsonl", ".jsonl"],
  ["version.2.json", "version.2"],
  ["anna@example.com.jsonl", "anna@example.com"],
  ["anna@example.com", "anna@example.com"],
  ["93.184.216.34.csv", "93.184.216.34"],
];
for (const [name, expected] of stems) {
  test(`messages of ${name} are attributed to ${expected}`, () => assert.equal(stem(name), expected));
}

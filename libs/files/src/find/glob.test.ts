import assert from "node:assert/strict";
import { test } from "node:test";
import { CodedError } from "@millrace/errors";
import { compilePattern } from "./glob.js";

test("a pattern matches names of its own directory only", () => {
  const pattern = compilePattern("*.jsonl");
  assert.equal(pattern.matches("a.jsonl"), true);
  assert.equal(pattern.matches("a.jsonl.gz"), false);
  assert.equal(pattern.matches("logs/a.jsonl"), false);
  assert.equal(pattern.depthMax, 1);
});

test("a pattern with directories says how deep it reaches", () => {
  assert.equal(compilePattern("logs/*.jsonl").depthMax, 2);
  const everywhere = compilePattern("**/*.{log,txt}");
  assert.equal(everywhere.depthMax, 8);
  assert.equal(everywhere.matches("a/b/c.txt"), true);
  assert.equal(everywhere.matches("c.log"), true);
});

test("hidden names need a spelled dot", () => {
  assert.equal(compilePattern("*").matches(".hidden"), false);
  assert.equal(compilePattern(".*").matches(".hidden"), true);
});

test("escaped brackets, braces and parentheses are literal", () => {
  assert.equal(compilePattern("a\\[1\\]\\{x\\}.log").matches("a[1]{x}.log"), true);
  assert.equal(compilePattern("a\\(1\\).log").matches("a(1).log"), true);
});

for (const pattern of [
  "",
  "[a",
  "a]",
  "{a,b",
  "a}",
  "{a,{b,c}}",
  "a\\",
  "/etc/*.conf",
  "a/../b",
  "../*",
  "./*",
  "a//b",
  "a\0b",
  "a".repeat(257),
  "+(a|aa)",
  "(a+)+",
  "*a*a*a*a*",
  "**/a/**",
  "{a,b,c,d}{a,b,c,d,e}",
  "a/b/c/d/e/f/g/h/i",
]) {
  test(`the pattern ${JSON.stringify(pattern.slice(0, 20))} is refused with its field and a remedy`, () => {
    assert.throws(
      () => compilePattern(pattern),
      (error) =>
        error instanceof CodedError &&
        error.code === "invalid_argument" &&
        error.field === "source.file.pattern" &&
        error.remedy !== undefined,
    );
  });
}

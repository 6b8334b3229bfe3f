import assert from "node:assert/strict";
import test from "node:test";
import { foundIn } from "./quality/found-in.js";

test("finds the user and password of a URL and leaves the rest", () => {
  assert.deepEqual(foundIn("https://anna:secret@example.com/x"), ["URL_CREDENTIALS anna:secret"]);
  assert.deepEqual(foundIn('{"u":"postgres://app:s3cr3t@db:5432/main"}'), ["URL_CREDENTIALS app:s3cr3t"]);
  assert.deepEqual(foundIn("redis://:secret@host:6379"), ["URL_CREDENTIALS :secret"]);
});

test("takes a raw @ as part of the password, or of the user", () => {
  assert.deepEqual(foundIn("https://anna:p@ss@example.com/x"), ["URL_CREDENTIALS anna:p@ss"]);
  assert.deepEqual(foundIn("https://anna@corp.example:pw@example.com/"), [
    "URL_CREDENTIALS anna@corp.example:pw",
  ]);
  assert.deepEqual(foundIn("https://a:b@c.test and dan@example.com"), [
    "URL_CREDENTIALS a:b",
    "EMAIL dan@example.com",
  ]);
});

test("takes no port, path or user alone for credentials", () => {
  for (const text of [
    "https://example.com:8080/@x",
    "https://example.com/a:b@c",
    "ssh://git@host/x",
    "a:b@c",
  ]) {
    assert.deepEqual(foundIn(text), [], text);
  }
});

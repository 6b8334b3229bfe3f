import assert from "node:assert/strict";
import test from "node:test";
import { pseudonym } from "./pseudonym.js";

const key = new Uint8Array(32).fill(7);

test("a name is stable, keyed and tells nothing of the value", () => {
  const name = pseudonym(key, "anna@example.com");
  assert.match(name, /^p-[0-9a-f]{32}$/);
  assert.equal(name, pseudonym(key, "anna@example.com"));
  assert.notEqual(name, pseudonym(key, "bob@example.com"));
  assert.notEqual(name, pseudonym(new Uint8Array(32).fill(8), "anna@example.com"));
});

test("the name is HMAC-SHA256 as RFC 4231 gives it", () => {
  assert.equal(
    pseudonym(Buffer.from("Jefe"), "what do ya want for nothing?"),
    "p-5bdcc146bf60754e6a042426089575c7",
  );
});

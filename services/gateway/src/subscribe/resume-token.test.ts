import assert from "node:assert/strict";
import test from "node:test";
import { checkReached, formatToken, parseToken, type Place, seqFrom } from "./resume-token.js";

test("a place survives the way through a token", () => {
  const places: Place[] = [
    { seq: 7, index: 3 },
    { seq: 8, index: "end" },
    { seq: 0, index: "gap" },
  ];
  for (const place of places) assert.deepEqual(parseToken(formatToken(place, 5), 5), place);
});

test("reading goes on in the message that was read in part, else behind it", () => {
  assert.equal(seqFrom({ seq: 7, index: 3 }), 7);
  assert.equal(seqFrom({ seq: 7, index: "end" }), 8);
  assert.equal(seqFrom({ seq: 7, index: "gap" }), 8);
});

test("what is no token, or one of another stream, or ahead of the bus, is refused", () => {
  const refused = { code: "invalid_argument", field: "resume_token" };
  for (const token of ["x", "!!!", Buffer.from("1.2").toString("base64url"), "A".repeat(10_000)]) {
    assert.throws(() => parseToken(token, 5), refused);
  }
  assert.throws(() => parseToken(formatToken({ seq: 1, index: "end" }, 4), 5), refused);
  assert.throws(() => checkReached({ seq: 9, index: "end" }, 8), refused);
});

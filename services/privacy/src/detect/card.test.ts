import assert from "node:assert/strict";
import test from "node:test";
import { passesLuhn } from "./card.js";
import { foundIn } from "./quality/found-in.js";

test("finds numbers of every issuer, bare and in groups", () => {
  const cards = [
    "4111111111111111",
    "4111 1111 1111 1111",
    "4111-1111-1111-1111",
    "4222222222222",
    "5555 5555 5555 4444",
    "2223003122003222",
    "3782 822463 10005",
    "6011111111111117",
    "3056 930902 5904",
    "3530111333300000",
    "6200000000000005",
    "2200 0000 0000 0004",
  ];
  for (const number of cards) {
    assert.deepEqual(foundIn(`paid with ${number} today`), [`CARD ${number}`]);
    assert.deepEqual(foundIn(`{"card":"${number}"}`), [`CARD ${number}`]);
  }
});

test("finds a number between others", () => {
  assert.deepEqual(foundIn("12 4111 1111 1111 1111 12/29"), ["CARD 4111 1111 1111 1111"]);
  assert.deepEqual(foundIn("4111111111111111,4222222222222"), [
    "CARD 4111111111111111",
    "CARD 4222222222222",
  ]);
  assert.deepEqual(foundIn('{"a":"x\\n4111111111111111\\n"}'), ["CARD 4111111111111111"]);
});

test("takes nothing with a wrong check digit, prefix, length or surroundings", () => {
  const others = [
    "4111111111111112",
    "1111111111111117",
    "41111111111111",
    "1763842000000",
    "1763842000000000",
    "x4111111111111111",
    "4111111111111111é",
    "0.4111111111111111",
    "4111111111111111.5",
    "4111-1111 1111-1111",
    "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1",
    "4111\n1111\n1111\n1111",
  ];
  for (const text of others) assert.deepEqual(foundIn(text), [], text);
});

test("Luhn's sum leaves out separators and catches any single wrong digit", () => {
  const bytes = new TextEncoder().encode("4111 1111 1111 1111");
  assert.equal(passesLuhn(bytes, 0, bytes.length), true);
  for (let i = 0; i < bytes.length; i++) {
    if (bytes[i] === 0x20) continue;
    const wrong = bytes.slice();
    wrong[i] = 0x30 + (((bytes[i] as number) - 0x30 + 1) % 10);
    assert.equal(passesLuhn(wrong, 0, wrong.length), false);
  }
});

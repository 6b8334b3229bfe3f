import assert from "node:assert/strict";
import test from "node:test";
import { foundIn } from "./quality/found-in.js";

test("finds accounts of several countries, bare, in groups and in lower case", () => {
  const accounts = [
    "DE89 3704 0044 0532 0130 00",
    "DE89370400440532013000",
    "DE89-3704-0044-0532-0130-00",
    "de89370400440532013000",
    "GB29 NWBK 6016 1331 9268 19",
    "FR1420041010050500013M02606",
    "NO9386011117947",
    "MT84MALT011000012345MTLCAST001S",
    "NL91ABNA0417164300",
    "CH9300762011623852957",
  ];
  for (const account of accounts) {
    assert.deepEqual(foundIn(`to ${account} by Friday`), [`IBAN ${account}`]);
    assert.deepEqual(foundIn(`IBAN:${account}.`), [`IBAN ${account}`]);
  }
});

test("gives an account that holds a valid card number one name", () => {
  assert.deepEqual(foundIn("DE89370400440532013000"), ["IBAN DE89370400440532013000"]);
});

test("takes nothing with a wrong check, country, length or surroundings", () => {
  const others = [
    "DE88370400440532013000",
    "DE8937040044053201300",
    "DE893704004405320130001",
    "XX89370400440532013000",
    "xDE89370400440532013000",
    "ab12cd34ef56ab12cd34ef56ab12cd34",
  ];
  for (const text of others) assert.deepEqual(foundIn(text), [], text);
});

import assert from "node:assert/strict";
import test from "node:test";
import { foundIn } from "./quality/found-in.js";

test("finds addresses in prose, JSON, CSV and URLs without what stands around them", () => {
  assert.deepEqual(foundIn("mail anna.meyer+x@example.com, or <bob@mail.example.co.uk>."), [
    "EMAIL anna.meyer+x@example.com",
    "EMAIL bob@mail.example.co.uk",
  ]);
  assert.deepEqual(foundIn('{"mail":"anna@example.com"}'), ["EMAIL anna@example.com"]);
  assert.deepEqual(foundIn("1;anna@example.com;x"), ["EMAIL anna@example.com"]);
  assert.deepEqual(foundIn("https://x.test/?mail=anna@example.com&b=1"), ["EMAIL anna@example.com"]);
  assert.deepEqual(foundIn("mailto:anna@example.com."), ["EMAIL anna@example.com"]);
  assert.deepEqual(foundIn("'anna@example.com'"), ["EMAIL anna@example.com"]);
  assert.deepEqual(foundIn("“anna@example.com”…"), ["EMAIL anna@example.com"]);
});

test("finds internationalised addresses, also where JSON escapes their letters", () => {
  assert.deepEqual(foundIn("an müller@bücher.de"), ["EMAIL müller@bücher.de"]);
  assert.deepEqual(foundIn("用户@例子.中国 "), ["EMAIL 用户@例子.中国"]);
  assert.deepEqual(foundIn("x@example.xn--p1ai"), ["EMAIL x@example.xn--p1ai"]);
  assert.deepEqual(foundIn('{"a":"m\\u00fcller@b\\u00fccher.de"}'), ["EMAIL m\\u00fcller@b\\u00fccher.de"]);
});

test("leaves a JSON escape before an address whole", () => {
  assert.deepEqual(foundIn('{"a":"x\\nanna@example.com"}'), ["EMAIL anna@example.com"]);
  assert.deepEqual(foundIn('{"a":"\\u003canna@example.com\\u003e"}'), ["EMAIL anna@example.com"]);
});

test("ends at the last label that can be a top-level domain", () => {
  assert.deepEqual(foundIn("anna@example.com-2024"), ["EMAIL anna@example.com"]);
  assert.deepEqual(foundIn("anna@example.com.123"), ["EMAIL anna@example.com"]);
  assert.deepEqual(foundIn("anna@example.com谢谢"), ["EMAIL anna@example.com"]);
});

test("takes no handle, host, version or scaled image for an address", () => {
  for (const text of [
    "@anna",
    "anna@",
    "anna@localhost",
    "pkg@1.2.3",
    "@scope/pkg@1.0.0",
    "icon@2x.png",
    "a @ b.com",
  ]) {
    assert.deepEqual(foundIn(text), [], text);
  }
});

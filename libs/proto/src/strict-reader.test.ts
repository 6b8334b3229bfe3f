import assert from "node:assert/strict";
import test from "node:test";
import { SearchRequest } from "./gen/millrace/search/v1/search.js";
import { strictReader } from "./strict-reader.js";

const query = (bytes: readonly number[]): Uint8Array => Uint8Array.from([0x0a, bytes.length, ...bytes]);

test("a text of any script is read", () => {
  const text = "\ufeffgrün 漢字 🙂";
  const bytes = query([...Buffer.from(text)]);
  assert.equal(SearchRequest.decode(strictReader(bytes)).query, text);
});

test("a text that is no UTF-8 is refused", () => {
  for (const bytes of [[0x61, 0xff], [0xc3], [0xed, 0xa0, 0x80], [0xc0, 0xaf]]) {
    assert.throws(() => SearchRequest.decode(strictReader(query(bytes))), TypeError);
    assert.match(SearchRequest.decode(query(bytes)).query, /\ufffd/);
  }
});

import assert from "node:assert/strict";
import test from "node:test";
import * as zlib from "node:zlib";
import fc from "fast-check";
import { crc32 } from "./checksum.js";

test("the checksum of the empty input and of the check value are those of the standard", () => {
  assert.equal(crc32(new Uint8Array()), 0);
  assert.equal(crc32(Buffer.from("123456789")), 0xcbf43926);
});

test("it is zlib's for any bytes, at any offset, whole or in two steps", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 5_000 }), fc.nat(64), fc.nat(5_000), (bytes, from, cut) => {
      const view = bytes.subarray(Math.min(from, bytes.length));
      const at = Math.min(cut, view.length);
      assert.equal(crc32(view), zlib.crc32(view));
      assert.equal(crc32(view.subarray(at), crc32(view.subarray(0, at))), zlib.crc32(view));
    }),
  );
});

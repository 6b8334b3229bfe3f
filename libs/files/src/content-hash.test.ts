import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { contentHash, createContentHash } from "./content-hash.js";

test("the hash is BLAKE3, by the test vectors of its authors", () => {
  const vector = (length: number): string => contentHash(Uint8Array.from({ length }, (_, at) => at % 251));
  assert.equal(vector(0), "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262");
  assert.equal(vector(1), "2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213");
  assert.equal(vector(1024), "42214739f095a406f3fc83deb889744ac00df831c10daa55189b5d121c855af7");
});

test("however bytes are cut, their hash is the same, and more can be added after it was asked for", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 3000 }), { maxLength: 6 }), (pieces) => {
      const hash = createContentHash();
      for (const [at, piece] of pieces.entries()) {
        hash.add(piece);
        assert.equal(hash.hex(), contentHash(Buffer.concat(pieces.slice(0, at + 1))));
      }
    }),
  );
});

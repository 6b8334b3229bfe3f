import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import test from "node:test";
import fc from "fast-check";
import { generatePrefilter } from "./generate-prefilter.js";
import { createPrefilter, tileBytes } from "./prefilter.js";

test("the committed code is what the source compiles to", async () => {
  const committed = new URL("../../../src/detect/scan/prefilter-wasm.ts", import.meta.url);
  assert.equal(await readFile(committed, "utf8"), await generatePrefilter());
});

/** The prefilter's patterns as one expression over latin1 text, a look-ahead at each offset. */
const candidate = new RegExp(
  [
    "[@+]",
    "(?<=[0-9][ ()\\-./]{1,3})[0-9]",
    "(?<![0-9])[0-9](?=.{3}[0-9].{3}[0-9].{3}[0-9])",
    "(?<![a-z0-9]{6})[a-z](?=[a-z][0-9]{2})",
    "(?<=:[a-z0-9]{0,4}):",
  ].join("|"),
  "gis",
);

function reference(text: string): number[] {
  return [...text.matchAll(candidate)].map((match) => match.index);
}

function candidates(body: Uint8Array): number[] {
  const prefilter = createPrefilter();
  const found: number[] = [];
  for (let start = 0; start < body.length; start += tileBytes) {
    const count = prefilter.scanTile(body, start);
    for (const offset of prefilter.offsets.subarray(0, count)) found.push(start + offset);
  }
  return found;
}

test("finds the same candidates as a plain expression, wherever the words and tiles end", () => {
  const alphabet = fc.constantFrom(..."0123456789", ..."09".repeat(5), ..." ()-./:::@+aGzZ", "\n", "é", '"');
  fc.assert(
    fc.property(
      fc.string({ unit: alphabet, maxLength: 300 }),
      fc.integer({ min: -200, max: 100 }),
      (text, shift) => {
        const body = Buffer.from(text, "latin1");
        assert.deepEqual(candidates(body), reference(text));
        const before = "x".repeat(tileBytes + shift);
        const moved = candidates(Buffer.from(before + text, "latin1"));
        assert.deepEqual(moved, reference(before + text));
      },
    ),
    { numRuns: 150, seed: 11 },
  );
});

test("finds the same where most of a text holds nothing, wherever the last of it stands", () => {
  const bare = fc.integer({ min: 0, max: 1_200 }).map((bytes) => "x".repeat(bytes));
  const some = fc.string({ unit: fc.constantFrom(..."019 ().-/:@+aGz"), minLength: 1, maxLength: 14 });
  const text = fc.array(fc.tuple(bare, some), { maxLength: 8 }).map((parts) => parts.flat().join(""));
  fc.assert(
    fc.property(text, fc.integer({ min: -1_300, max: 100 }), (sparse, shift) => {
      assert.deepEqual(candidates(Buffer.from(sparse, "latin1")), reference(sparse));
      const moved = "x".repeat(tileBytes + shift) + sparse;
      assert.deepEqual(candidates(Buffer.from(moved, "latin1")), reference(moved));
    }),
    { numRuns: 300, seed: 12 },
  );
});

test("nothing of an earlier tile is seen in a shorter one", () => {
  const prefilter = createPrefilter();
  assert.equal(prefilter.scanTile(Buffer.from("@".repeat(500)), 0), 500);
  assert.equal(prefilter.scanTile(Buffer.from("@x"), 0), 1);
  assert.equal(prefilter.scanTile(new Uint8Array(0), 0), 0);
});

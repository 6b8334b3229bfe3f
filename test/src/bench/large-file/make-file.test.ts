import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import { crc32 } from "node:zlib";
import { checkSums, makeFile, unitBytes } from "./make-file.js";

test("a file is what its seed says, no page like another, with the checksum of each unit", async (t) => {
  const dir = mkdtempSync(join(tmpdir(), "millrace-made-"));
  t.after(() => rmSync(dir, { recursive: true }));
  const path = join(dir, "file");
  const made = await makeFile({ path, bytes: 1, seed: 7, signal: new AbortController().signal });
  const content = readFileSync(path);
  assert.equal(content.length, unitBytes);
  assert.deepEqual(made, { bytes: unitBytes, sums: [crc32(content)] });
  const pages = new Set<string>();
  for (let at = 0; at < unitBytes; at += 4_096) pages.add(content.toString("latin1", at, at + 16));
  assert.equal(pages.size, unitBytes / 4_096);
});

test("chunks that are missing, too many, changed or in another order are refused", () => {
  const written = [1, 2, 3];
  assert.doesNotThrow(() => checkSums(written, [1, 2, 3]));
  for (const seen of [[], [1, 2], [1, 2, 3, 4], [1, 2, 4], [2, 1, 3]]) {
    assert.throws(() => checkSums(written, seen), { code: "data_loss" });
  }
});

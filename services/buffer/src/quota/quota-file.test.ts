import assert from "node:assert/strict";
import { appendFile, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { SourceRange } from "./live-bytes.js";
import { loadRanges, saveRanges } from "./quota-file.js";

const of = { tenant: "t", stream: "s", source: "0f", createdMs: 1_700_000_000_000 };
const range: SourceRange = { ...of, from: 5, to: 9, bytes: 1_000, sinks: 6 };

test("ranges are read back as they were saved, without lines that a crash or a person left", async () => {
  const dir = await mkdtemp(join(tmpdir(), "quota-"));
  assert.deepEqual(await loadRanges(dir), []);
  await saveRanges(dir, [range, { ...range, source: "1f" }]);
  await saveRanges(dir, [range]);
  await appendFile(join(dir, "live.log"), "t s 0f 1 9 5 100 1\nt s 0f 1 5 x 100 1\nt s 0f 1 5 9 10");
  assert.deepEqual(await loadRanges(dir), [range]);
  await rm(dir, { recursive: true });
});

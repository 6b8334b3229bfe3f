import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeBatch, limits, type OpenBatch, wholeBatch } from "@millrace/envelope";
import { buildBatch, textsOf } from "@millrace/envelope/testing";
import { registryOf } from "@millrace/messaging";
import { Stream } from "@millrace/proto/stream";
import { createBodyPool } from "@millrace/segments";
import { createFilters } from "../filter/filters.js";
import { createFilterPool } from "../filter/pool/filter-pool.js";
import { filterBatch } from "./filter-batch.js";

async function filtered(raw: OpenBatch): Promise<{ batches: readonly OpenBatch[]; counted: number }> {
  const bodies = createBodyPool();
  let counted = 0;
  const handle = filterBatch({
    filters: createFilters(Buffer.alloc(32, 7)),
    registry: registryOf(Stream.fromPartial({ name: "s", outputs: { results: {} } })),
    bodies,
    shared: bodies,
    pool: createFilterPool({ threadsMax: 1, onThreadLost: () => undefined }),
    threads: 0,
    found: { inc: (_, by) => void (counted += by) },
    version: "1",
    now: () => 1,
  });
  const { batches = [], after } = await handle(raw, new AbortController().signal);
  // What comes of it is read before its memory is given back.
  const kept = batches.map(({ batch }) => ({ ...batch, body: Buffer.from(wholeBatch(batch).body) }));
  await after?.([]);
  return { batches: kept, counted };
}

test("a message with 200,000 findings is redacted throughout, counted, and fits the bus", async () => {
  const one = "a@example.org ";
  const { batches, counted } = await filtered(buildBatch({ texts: ["ann", one.repeat(200_000), "bob"] }));
  for (const batch of batches) {
    const bytes = encodeBatch(batch, undefined).length;
    assert.ok(bytes < limits.columnsBytesMax, `${bytes} bytes of columns and findings`);
  }
  assert.deepEqual(batches.flatMap(textsOf), ["ann", "[EMAIL] ".repeat(200_000), "bob"]);
  const found = batches.map(({ annotations }) => annotations.findings);
  const listed = found.reduce((sum, findings) => sum + (findings?.rows.length ?? 0), 0);
  const omitted = found.flatMap((findings) => findings?.omittedCounts ?? []);
  assert.deepEqual([listed, omitted, counted], [limits.findingsMax, [200_000 - limits.findingsMax], 200_000]);
});

test("names with more findings than are listed are replaced throughout, and counted", async () => {
  const address = "a@example.org ".repeat(500);
  const attributes = Object.fromEntries(Array.from({ length: 24 }, (_, n) => [`name${n}`, address]));
  const { batches, counted } = await filtered(buildBatch({ texts: ["hi"], attributes: [attributes] }));
  const [batch] = batches;
  for (const { values } of batch?.columns.attributes ?? [])
    assert.deepEqual(values, ["[EMAIL] ".repeat(500)]);
  const findings = batch?.annotations.findings;
  assert.deepEqual(
    [findings?.nameRows.length, findings?.omittedCounts, counted],
    [limits.nameFindingsMax, [12_000 - limits.nameFindingsMax], 12_000],
  );
});

test("a large body with few findings goes on in parts of the raw one, to the same text", async () => {
  const texts = Array.from({ length: 20 }, (_, n) => `${n} `.padEnd(40_000, "x"));
  texts[3] = `ann@example.org ${texts[3]}`;
  texts[19] = `${texts[19]} 10.0.0.1`;
  const raw = buildBatch({ texts });
  const { batches } = await filtered(raw);
  const redacted = texts.map((text) =>
    text.replace("ann@example.org", "[EMAIL]").replace("10.0.0.1", "[IP]"),
  );
  assert.deepEqual(batches.flatMap(textsOf), redacted);
  const kept = batches.flatMap(({ annotations }) => annotations.findings?.rows);
  assert.deepEqual(kept, [Uint32Array.of(3, 19)]);
});

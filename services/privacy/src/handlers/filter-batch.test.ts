import assert from "node:assert/strict";
import { test } from "node:test";
import {
  checkBatch,
  encodeBatch,
  faceCode,
  limits,
  messageViews,
  type OpenBatch,
  wholeBatch,
  wireBatch,
} from "@millrace/envelope";
import { CodedError, present } from "@millrace/errors";
import { Framing, Kind } from "@millrace/proto/batch";
import { buildBatch, textsOf } from "@millrace/envelope/testing";
import { registryOf } from "@millrace/messaging";
import { Stream } from "@millrace/proto/stream";
import { createBodyPool } from "@millrace/segments";
import { createFilters } from "../filter/filters.js";
import { createFilterPool } from "../filter/pool/filter-pool.js";
import type { CleanImage } from "../image/clean-image.js";
import { filterBatch } from "./filter-batch.js";

interface FilterWith {
  settings?: Parameters<typeof Stream.fromPartial>[0];
  cleanImage?: (bytes: Uint8Array) => Promise<CleanImage>;
}

async function filtered(
  raw: OpenBatch,
  { settings = {}, cleanImage = async (bytes) => ({ bytes, faces: [] }) }: FilterWith = {},
): Promise<{ batches: readonly OpenBatch[]; counted: number; failed: [number, string][] }> {
  const bodies = createBodyPool();
  let counted = 0;
  const handle = filterBatch({
    filters: createFilters(Buffer.alloc(32, 7)),
    registry: registryOf(Stream.fromPartial({ name: "s", outputs: { results: {} }, ...settings })),
    bodies,
    shared: bodies,
    pool: createFilterPool({ threadsMax: 1, onThreadLost: () => undefined }),
    threads: 0,
    cleanImage,
    found: { inc: (_, by) => void (counted += by) },
    version: "1",
    now: () => 1,
  });
  const { batches = [], failures = [], after } = await handle(raw, new AbortController().signal);
  // What comes of it is read before its memory is given back.
  const kept = batches.map(({ batch }) => ({ ...batch, body: Buffer.from(wholeBatch(batch).body) }));
  await after?.([]);
  const failed = failures.map(({ row, error }): [number, string] => [row, error.code]);
  return { batches: kept, counted, failed };
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

/** Texts and images in turn; the images are these words. */
function mixed(framing: Framing): OpenBatch {
  const raw = buildBatch({ texts: ["ann@example.org", "photo", "bob", "broken", "10.0.0.1"], framing });
  const { KIND_TEXT, KIND_IMAGE } = Kind;
  const kinds = [KIND_TEXT, KIND_IMAGE, KIND_TEXT, KIND_IMAGE, KIND_TEXT];
  return { ...raw, columns: { ...raw.columns, kinds } };
}

const face = { x: 3, y: 40_000, width: 65_535, height: 12 };
const cleanWord = async (bytes: Uint8Array): Promise<CleanImage> => {
  if (Buffer.from(bytes).toString() === "broken") throw new CodedError("invalid_argument", "read an image");
  return { bytes: Buffer.from(`clean ${Buffer.from(bytes).toString()} ann@example.org`), faces: [face] };
};

for (const framing of [Framing.FRAMING_PACKED, Framing.FRAMING_LINES]) {
  test(`a bad image fails alone, its neighbours pass redacted (framing ${framing})`, async () => {
    const { batches, failed, counted } = await filtered(mixed(framing), { cleanImage: cleanWord });
    assert.deepEqual(failed, [[3, "invalid_argument"]]);
    // What was cleaned is no text: nothing in it is redacted.
    const texts = ["[EMAIL]", "clean photo ann@example.org", "bob", "[IP]"];
    assert.deepEqual(batches.flatMap(textsOf), texts);
    assert.equal(counted, 3);
    for (const batch of batches) checkBatch(wireBatch(batch, { $case: "inline", value: batch.body }));
    const [first] = batches;
    const message = messageViews(present(first, "the batch before the failure"))(1);
    const box = { type: "FACE", place: "box", start: 0, length: 0, box: face };
    assert.deepEqual(message.findings, [box]);
  });
}

test("faceDetection: false keeps nothing of a face", async () => {
  const settings = { privacy: { faceDetection: false } };
  const { batches, counted } = await filtered(mixed(Framing.FRAMING_PACKED), {
    cleanImage: cleanWord,
    settings,
  });
  assert.equal(counted, 2);
  const types = batches.flatMap(({ annotations }) => [...(annotations.findings?.types ?? [])]);
  assert.equal(types.includes(faceCode), false);
});

test("without its model a batch with images waits, as a whole", async () => {
  const cleanImage = async (): Promise<CleanImage> => {
    throw new CodedError("unavailable", "images wait", { scope: "stream" });
  };
  const waits = filtered(mixed(Framing.FRAMING_PACKED), { cleanImage });
  await assert.rejects(waits, { code: "unavailable", scope: "stream" });
});

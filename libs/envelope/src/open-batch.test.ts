import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import { CodedError } from "@millrace/errors";
import { Batch, Framing } from "@millrace/proto/batch";
import { limits } from "./limits.js";
import { checkBatch, decodeBatch, encodeBatch } from "./open-batch.js";
import { columnBytes, wireAnnotations, wireColumns } from "./open-columns.js";
import { buildBatch, inlineBatch } from "./testing/builders.js";

const texts = ["one", "two", "three"];
type Header = NonNullable<Batch["header"]>;
type Columns = NonNullable<Batch["columns"]>;
type Annotations = NonNullable<Batch["annotations"]>;

/** A sound batch with something changed. */
function changed(change: {
  header?: Partial<Header>;
  columns?: Partial<Columns>;
  annotations?: Partial<Annotations>;
  body?: Batch["body"];
}): Batch {
  const open = buildBatch({ texts, framing: Framing.FRAMING_LINES });
  const batch = inlineBatch(open);
  return {
    ...batch,
    header: { ...open.header, ...change.header },
    columns: { ...wireColumns(open.columns), ...change.columns },
    annotations: { ...wireAnnotations(open.annotations), ...change.annotations },
    ...("body" in change ? { body: change.body } : {}),
  };
}

const u32 = (...values: number[]): Uint8Array => columnBytes(Uint32Array.from(values));
const findings = {
  rows: u32(0),
  types: Uint8Array.of(1),
  starts: u32(0),
  lengths: u32(1),
  nameRows: [2],
  nameTypes: [1],
  omittedRows: [1],
  omittedCounts: [4],
};
const embeddings = { model: "m", dimensions: 2, rows: [0, 2], vectors: new Uint8Array(8) };
const sentiments = { model: "m", rows: [1], scores: [0.5], labels: [3] };
const objects = {
  model: "o",
  rows: [0, 0],
  labels: ["a", "b"],
  scores: [1, 0.5],
  boxes: [0, 0, 1, 1, 2, 2, 3, 3],
};
const scenes = { model: "s", rows: [2], labels: ["c"], scores: [0.5] };
const range = {
  node: "n",
  log: "raw/b",
  segment: 1,
  offset: 0,
  length: 14,
  crc32: 0,
  frameOffset: 0,
  leaseEpoch: 0,
};

test("a sound batch passes, with every column in use and its body inline or elsewhere", () => {
  checkBatch(changed({}));
  checkBatch(
    changed({
      columns: {
        positionDeltas: u32(1, 1, 1),
        eventTimeDeltasMs: [0, -5, 5],
        kinds: [1, 2, 1],
        sourceIds: ["a", "b"],
        sourceIdIndexes: [0, 1, 0],
        ids: new Uint8Array(48),
        attributes: [{ name: "n", rows: [0, 2], values: ["x", "y"] }],
        rowsWithoutEmbedding: [1],
        imageRows: [1],
        imageWishes: [5],
      },
      annotations: { findings, embeddings, sentiments, objects, scenes },
      body: { $case: "range", value: range },
    }),
  );
});

const malformed: [string, string, Batch][] = [
  ["no header", "header", { ...changed({}), header: undefined }],
  ["no columns", "header", { ...changed({}), columns: undefined }],
  ["no messages", "header.count", changed({ header: { count: 0 } })],
  ["too many messages", "header.count", changed({ header: { count: limits.batchMessagesMax + 1 } })],
  ["lengths for fewer messages", "columns.lengths", changed({ columns: { lengths: u32(3, 3) } })],
  ["lengths that are not the body", "columns.lengths", changed({ columns: { lengths: u32(3, 3, 6) } })],
  [
    "a length beyond the body",
    "columns.lengths",
    changed({ columns: { lengths: u32(3, 3, 4_294_967_295) } }),
  ],
  ["a body shorter than it says", "body", changed({ body: { $case: "inline", value: new Uint8Array(13) } })],
  ["no body", "body", changed({ body: undefined })],
  [
    "a range of another length",
    "body",
    changed({ body: { $case: "range", value: { ...range, length: 13 } } }),
  ],
  ["the other framing", "columns.lengths", changed({ header: { framing: Framing.FRAMING_PACKED } })],
  ["no source id", "columns.source_ids", changed({ columns: { sourceIds: [] } })],
  ["too few indexes", "columns.source_id_indexes", changed({ columns: { sourceIdIndexes: [0] } })],
  ["an index beyond", "columns.source_id_indexes", changed({ columns: { sourceIdIndexes: [0, 0, 1] } })],
  ["too few deltas", "columns.position_deltas", changed({ columns: { positionDeltas: u32(1, 1) } })],
  [
    "deltas that end elsewhere",
    "columns.position_deltas",
    changed({ columns: { positionDeltas: u32(1, 1, 2) } }),
  ],
  ["an end before its beginning", "columns.position_deltas", changed({ header: { positionFrom: 4 } })],
  ["too few times", "columns.event_time_deltas_ms", changed({ columns: { eventTimeDeltasMs: [1] } })],
  ["too few kinds", "columns.kinds", changed({ columns: { kinds: [1, 1] } })],
  ["half an id", "columns.ids", changed({ columns: { ids: new Uint8Array(40) } })],
  ["an attribute without a value", "columns.attributes", attributes([0, 1], ["x"])],
  ["an attribute of no row", "columns.attributes", attributes([3], ["x"])],
  [
    "no row to leave out",
    "columns.rows_without_embedding",
    changed({ columns: { rowsWithoutEmbedding: [3] } }),
  ],
  ["an image without a wish", "columns.image_rows", changed({ columns: { imageRows: [1] } })],
  ["half a box", "annotations.objects", annotated({ objects: { ...objects, boxes: [0, 0, 1, 1, 2] } })],
  ["a scene without a label", "annotations.scenes", annotated({ scenes: { ...scenes, labels: [] } })],
  [
    "a finding without a type",
    "annotations.findings",
    annotated({ findings: { ...findings, types: new Uint8Array() } }),
  ],
  [
    "a finding without a place",
    "annotations.findings",
    annotated({ findings: { ...findings, starts: u32() } }),
  ],
  ["a finding of no row", "annotations.findings", annotated({ findings: { ...findings, rows: u32(3) } })],
  [
    "a name's finding of no row",
    "annotations.findings",
    annotated({ findings: { ...findings, nameRows: [9] } }),
  ],
  ["half a vector", "annotations.embeddings", annotated({ embeddings: { ...embeddings, dimensions: 3 } })],
  [
    "vectors in disorder",
    "annotations.embeddings",
    annotated({ embeddings: { ...embeddings, rows: [2, 0] } }),
  ],
  [
    "a vector of no row",
    "annotations.embeddings",
    annotated({ embeddings: { ...embeddings, rows: [0, 3] } }),
  ],
  ["a score without a row", "annotations.sentiments", annotated({ sentiments: { ...sentiments, rows: [] } })],
  ["no label", "annotations.sentiments", annotated({ sentiments: { ...sentiments, labels: [] } })],
  ["a score of no row", "annotations.sentiments", annotated({ sentiments: { ...sentiments, rows: [3] } })],
];

function attributes(rows: number[], values: string[]): Batch {
  return changed({ columns: { attributes: [{ name: "n", rows, values }] } });
}

function annotated(annotations: Partial<Annotations>): Batch {
  return changed({ annotations });
}

for (const [what, field, batch] of malformed) {
  test(`a batch with ${what} is refused, naming ${field}`, () => {
    assert.throws(() => checkBatch(batch), { code: "data_loss", field: `batch.${field}` });
  });
}

test("a batch decodes to what was encoded", () => {
  const open = buildBatch({ texts, sourceIds: ["a", "b", "a"], attributes: [{ k: "v" }, {}, { k: "w" }] });
  const batch = decodeBatch(encodeBatch(open, { $case: "inline", value: open.body }));
  assert.deepEqual(Batch.encode(batch).finish(), Batch.encode(inlineBatch(open)).finish());
  assert.deepEqual(batch.columns?.attributes, open.columns.attributes);
});

function decodes(bytes: Uint8Array): void {
  try {
    decodeBatch(bytes);
  } catch (caught) {
    if (!(caught instanceof CodedError) || caught.code !== "data_loss") throw caught;
  }
}

test("random bytes either decode or are refused as data loss", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), decodes), { numRuns: 10_000 });
});

test("a sound batch with bytes changed, cut or repeated either decodes or is refused as data loss", () => {
  const open = buildBatch({ texts, sourceIds: ["a", "b", "a"], attributes: [{ k: "v" }] });
  const whole = { ...inlineBatch(open), annotations: { findings, embeddings, sentiments, objects, scenes } };
  const sound = Batch.encode(whole).finish();
  const edit = fc.record({ at: fc.nat(sound.length - 1), to: fc.nat(255) });
  fc.assert(
    fc.property(fc.array(edit, { minLength: 1, maxLength: 5 }), fc.nat(sound.length), (edits, end) => {
      const bytes = Uint8Array.from(sound);
      for (const { at, to } of edits) bytes[at] = to;
      decodes(bytes);
      decodes(bytes.subarray(0, end));
      decodes(Buffer.concat([bytes.subarray(end), bytes]));
    }),
    { numRuns: 5_000 },
  );
});

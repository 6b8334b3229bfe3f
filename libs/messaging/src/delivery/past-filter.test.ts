import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeBatch, limits } from "@millrace/envelope";
import { buildBatch, textsOf } from "@millrace/envelope/testing";
import { Kind } from "@millrace/proto/batch";
import { Stream } from "@millrace/proto/stream";
import { isInferred, pastFilter } from "./past-filter.js";

const sinks = Stream.fromPartial({ name: "s", outputs: { results: {}, search: true } });
const judged = Stream.fromPartial({ ...sinks, enrichments: { sentiment: true } });

test("with nothing to infer a batch goes whole to the sinks that its stream declares", () => {
  const batch = buildBatch({ texts: ["a", "b"] });
  assert.deepEqual(pastFilter(batch, sinks), [{ subject: "enriched.y.y.n.n.batch.any.default.s", batch }]);
  const data = buildBatch({ texts: ["a"], kind: Kind.KIND_DATA });
  assert.deepEqual([isInferred(batch, sinks), isInferred(data, judged)], [false, false]);
  assert.equal(pastFilter(data, judged)[0]?.subject, "enriched.y.y.n.n.batch.any.default.s");
});

test("what is to be inferred goes in small pieces with ids of their own, and no row is left out", () => {
  const texts = Array.from({ length: 150 }, (_, at) => `text ${at}`);
  const pieces = pastFilter(buildBatch({ texts }), judged);
  assert.deepEqual(
    pieces.map(({ subject, batch }) => [subject, batch.header.count]),
    [64, 64, 22].map((count) => ["clean.batch.any.default.s", count]),
  );
  assert.deepEqual(
    pieces.flatMap(({ batch }) => textsOf(batch)),
    texts,
  );
  assert.equal(new Set(pieces.map(({ batch }) => Buffer.from(batch.header.id).toString("hex"))).size, 3);
});

test("a batch with more findings than fit a bus message goes in pieces that do, each row once", () => {
  const texts = Array.from({ length: 2_000 }, (_, at) => `line ${at}`);
  const found = texts.flatMap((_, row) => Array.from({ length: 60 }, () => row));
  const dense = buildBatch({ texts });
  dense.annotations.findings = {
    rows: Uint32Array.from(found),
    types: new Uint8Array(found.length),
    starts: new Uint32Array(found.length),
    lengths: new Uint32Array(found.length),
    nameRows: [],
    nameTypes: [],
    omittedRows: [],
    omittedCounts: [],
  };
  const pieces = pastFilter(dense, sinks).map(({ batch }) => batch);
  assert.ok(pieces.length > 1);
  for (const piece of pieces) assert.ok(encodeBatch(piece, undefined).length <= limits.columnsBytesMax);
  assert.deepEqual(pieces.flatMap(textsOf), texts);
  const rows = pieces.reduce((sum, { annotations }) => sum + (annotations.findings?.rows.length ?? 0), 0);
  assert.equal(rows, found.length);
  assert.equal(
    new Set(pieces.map(({ header }) => Buffer.from(header.id).toString("hex"))).size,
    pieces.length,
  );
});

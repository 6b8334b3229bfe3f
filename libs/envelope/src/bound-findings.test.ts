import assert from "node:assert/strict";
import { test } from "node:test";
import { boundFindings } from "./bound-findings.js";
import { limits } from "./limits.js";
import { checkBatch, encodeBatch, type OpenBatch } from "./open-batch.js";
import { buildBatch, inlineBatch } from "./testing/index.js";

const { findingsMax, nameFindingsMax } = limits;

/** Rows of a batch by how many findings each has in its content and in its names. */
function found(inContents: readonly number[], inNames: readonly number[]): OpenBatch {
  const open = buildBatch({ texts: inContents.map((_, row) => `text ${row}`) });
  const rowsOf = (counts: readonly number[]): number[] =>
    counts.flatMap((count, row) => Array.from({ length: count }, () => row));
  const rows = Uint32Array.from(rowsOf(inContents));
  const nameRows = rowsOf(inNames);
  open.annotations.findings = {
    rows,
    types: Uint8Array.from(rows, (_, at) => at % 7),
    starts: Uint32Array.from(rows, (_, at) => at),
    lengths: new Uint32Array(rows.length).fill(4),
    nameRows,
    nameTypes: nameRows.map((_, at) => at % 5),
    omittedRows: [],
    omittedCounts: [],
  };
  return open;
}

test("200,000 findings of one message become those that are listed and a count of the others", () => {
  const whole = found([1, 200_000, 2], [0, 0, 0]);
  const open = boundFindings(whole);
  const findings = open.annotations.findings;
  assert.equal(findings?.rows.length, 1 + findingsMax + 2);
  assert.deepEqual([findings?.omittedRows, findings?.omittedCounts], [[1], [200_000 - findingsMax]]);
  // The first ones, each with its own place and type, and the neighbours' too.
  assert.deepEqual([...(findings?.starts.subarray(0, 3) ?? [])], [0, 1, 2]);
  assert.deepEqual([...(findings?.starts.subarray(-2) ?? [])], [200_001, 200_002]);
  assert.deepEqual([...(findings?.types.subarray(-2) ?? [])], [200_001 % 7, 200_002 % 7]);
  checkBatch(inlineBatch(open));
});

test("findings in contents and in names are bounded apart, and counted together", () => {
  const open = boundFindings(found([findingsMax + 1, 0], [nameFindingsMax + 3, nameFindingsMax + 5]));
  const findings = open.annotations.findings;
  assert.deepEqual(
    new Map(findings?.omittedRows.map((row, at) => [row, findings.omittedCounts[at]])),
    new Map([
      [0, 4],
      [1, 5],
    ]),
  );
  assert.equal(findings?.nameRows.length, 2 * nameFindingsMax);
  assert.equal(findings?.nameTypes.length, 2 * nameFindingsMax);
});

test("a batch within the bounds is left as it is, however many findings it has in all", () => {
  const many = found(
    Array.from({ length: 40 }, () => findingsMax),
    [],
  );
  assert.equal(boundFindings(many), many);
  const none = buildBatch({ texts: ["a"] });
  assert.equal(boundFindings(none), none);
});

test("the largest message with its attributes and as many findings as are listed fits a bus message", () => {
  const attributes = Object.fromEntries(
    Array.from({ length: 24 }, (_, n) => [`name${n}`, "v".repeat(limits.attributeValueBytesMax)]),
  );
  const open = found([200_000], [10_000]);
  const large = buildBatch({ texts: ["x".repeat(limits.messageBytesMax)], attributes: [attributes] });
  const { annotations } = boundFindings({ ...large, annotations: open.annotations });
  const bytes = encodeBatch({ ...large, annotations }, { $case: "inline", value: large.body });
  assert.ok(bytes.length < 1024 * 1024 - 4_096, `${bytes.length} bytes`);
});

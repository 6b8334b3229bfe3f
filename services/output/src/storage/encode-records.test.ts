import assert from "node:assert/strict";
import { test } from "node:test";
import { messageId } from "@millrace/envelope";
import { Framing, Kind, SentimentLabel } from "@millrace/proto/batch";
import { encodeRecords } from "./encode-records.js";
import { makeBatch } from "./faults/make-batch.js";

const findingName = (type: number): string => (type === 1 ? "EMAIL" : "PHONE");

function records(batch: Parameters<typeof encodeRecords>[0]): unknown[] {
  const { bytes } = encodeRecords(batch, [{ from: 0, to: batch.header.count }], findingName);
  const lines = Buffer.concat(bytes).toString().split("\n");
  assert.equal(lines.pop(), "");
  return lines.map((line) => JSON.parse(line) as unknown);
}

test("a record tells the message, where it stood and what was found in it", () => {
  const batch = makeBatch(['say "hi"\n<EMAIL>', "plain"], {
    framing: Framing.FRAMING_PACKED,
    positionFrom: 40,
  });
  batch.columns.attributes = [{ name: "__proto__", rows: [1], values: ["shop"] }];
  batch.annotations = {
    ...batch.annotations,
    findings: {
      rows: Uint32Array.of(0),
      types: Uint8Array.of(1),
      starts: Uint32Array.of(9),
      lengths: Uint32Array.of(7),
      nameRows: [1],
      nameTypes: [2],
      omittedRows: [1],
      omittedCounts: [198_464],
    },
    sentiments: {
      model: "m1",
      rows: [0],
      scores: [0.5],
      labels: [SentimentLabel.SENTIMENT_LABEL_POSITIVE],
    },
  };
  const shared = { source_id: "till-7", source: "5".repeat(32), event_time: "2023-11-14T22:13:20.000Z" };
  const [first, second] = records(batch);
  assert.deepEqual(first, {
    id: messageId(batch.header, 40),
    position: 40,
    ...shared,
    text: 'say "hi"\n<EMAIL>',
    findings: [{ type: "EMAIL", place: "body", start: 9, length: 7 }],
    sentiment: { label: "positive", score: 0.5, model: "m1" },
  });
  assert.deepEqual(second, {
    id: messageId(batch.header, 41),
    position: 41,
    ...shared,
    text: "plain",
    attributes: JSON.parse('{"__proto__":"shop"}') as unknown,
    findings: [{ type: "PHONE", place: "names" }],
    findings_omitted: 198_464,
  });
});

test("data, and text that is not UTF-8, is kept byte for byte", () => {
  const batch = makeBatch(["abc", "def"]);
  batch.columns.kinds = [Kind.KIND_DATA, Kind.KIND_TEXT];
  batch.body = Buffer.from([1, 2, 255, 10, 100, 255, 102, 10]);
  const data = records(batch).map((record) => (record as { data: string }).data);
  assert.deepEqual(data, [
    Buffer.from([1, 2, 255]).toString("base64"),
    Buffer.from([100, 255, 102]).toString("base64"),
  ]);
});

test("an id that a client gave is the record's id", () => {
  const [record] = records(makeBatch(["a"], { ids: [255] }));
  assert.equal((record as { id: string }).id, "ff".padStart(32, "0"));
});

test("a time that no calendar has is left out", () => {
  const batch = makeBatch(["a"]);
  batch.columns.eventTimeBaseMs = Number.MAX_SAFE_INTEGER;
  assert.ok(!("event_time" in (records(batch)[0] as object)));
});

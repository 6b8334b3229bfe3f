import assert from "node:assert/strict";
import test from "node:test";
import { Framing, Kind, Lane, SentimentLabel } from "@millrace/proto/batch";
import { Priority } from "@millrace/proto/message";
import { idBytes, keyedMessageId, messageId } from "./ids.js";
import { messageViews } from "./message-view.js";
import type { OpenBatch } from "./open-batch.js";
import { noColumn } from "./open-columns.js";

const of = { tenant: "default", stream: "notes", source: "0".repeat(32) };
const keyed = keyedMessageId({ ...of, createdMs: 0 }, "k1");

function sample(): OpenBatch {
  const body = Buffer.concat([Buffer.from("hi [EMAIL]"), Buffer.from([0xff, 0xfe])]);
  return {
    header: {
      ...of,
      id: idBytes("a".repeat(32)),
      lane: Lane.LANE_HIGH,
      partition: "any",
      positionFrom: 7,
      positionTo: 9,
      schemaVersion: 1,
      count: 2,
      framing: Framing.FRAMING_PACKED,
      bodyBytes: body.length,
      acceptedUs: 5,
      streamCreatedMs: 0,
    },
    columns: {
      lengths: Uint32Array.of(10, 2),
      positionDeltas: noColumn,
      eventTimeBaseMs: 1_500,
      eventTimeDeltasMs: [0, -501],
      kind: Kind.KIND_TEXT,
      kinds: [],
      sourceIds: ["a", "b"],
      sourceIdIndexes: [0, 1],
      ids: Buffer.concat([idBytes(keyed), idBytes(messageId(of, 8))]),
      attributes: [{ name: "room", rows: [1], values: ["kitchen"] }],
      rowsWithoutEmbedding: [],
      imageRows: [],
      imageWishes: [],
    },
    body,
    annotations: {
      findings: {
        rows: Uint32Array.of(0),
        types: Uint8Array.of(1),
        starts: Uint32Array.of(3),
        lengths: Uint32Array.of(7),
        nameRows: [1],
        nameTypes: [99],
        omittedRows: [1],
        omittedCounts: [7],
      },
      embeddings: undefined,
      sentiments: { model: "m", rows: [0], scores: [0.5], labels: [SentimentLabel.SENTIMENT_LABEL_POSITIVE] },
      objects: { model: "o", rows: [1], labels: ["cup"], scores: [0.5], boxes: [1, 2, 3, 4] },
      scenes: { model: "s", rows: [1], labels: ["drink"], scores: [0.25] },
    },
    passport: [{ stage: "privacy", version: "1", decidedBy: "p", startedUs: 1, endedUs: 2 }],
  };
}

test("a row is shown with its id, place, content and what is known of it", () => {
  assert.deepEqual(messageViews(sample())(0), {
    id: keyed,
    stream: "notes",
    sourceId: "a",
    position: { source: of.source, offset: 7 },
    content: { $case: "text", value: "hi [EMAIL]" },
    attributes: {},
    eventTime: { seconds: 1, nanos: 500_000_000 },
    priority: Priority.PRIORITY_HIGH,
    findings: [{ type: "EMAIL", place: "body", start: 3, length: 7, box: undefined }],
    sentiment: { label: "positive", score: 0.5, model: "m" },
    passport: [{ stage: "privacy", version: "1", decidedBy: "p", startedUs: 1, endedUs: 2 }],
    acceptedUs: 5,
    findingsOmitted: 0,
    objects: [],
    scene: undefined,
  });
});

test("an image is shown with the objects and the scene that were found in it", () => {
  const open = sample();
  const image = messageViews({ ...open, columns: { ...open.columns, kind: Kind.KIND_IMAGE } })(1);
  assert.equal(image.content?.$case, "image");
  assert.deepEqual(image.objects, [
    { label: "cup", score: 0.5, x: 1, y: 2, width: 3, height: 4, model: "o" },
  ]);
  assert.deepEqual(image.scene, { label: "drink", score: 0.25, model: "s" });
});

test("text that is not UTF-8 is shown as data, and a finding of a newer version by its number", () => {
  const second = messageViews(sample())(1);
  assert.equal(second.content?.$case, "data");
  assert.deepEqual(second.findings, [
    { type: "TYPE_99", place: "name", start: 0, length: 0, box: undefined },
  ]);
  assert.equal(second.findingsOmitted, 7);
  assert.deepEqual(second.attributes, { room: "kitchen" });
  assert.deepEqual(second.eventTime, { seconds: 0, nanos: 999_000_000 });
  assert.equal(second.id, messageId(of, 8));
});

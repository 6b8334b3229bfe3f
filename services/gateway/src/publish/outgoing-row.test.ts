import assert from "node:assert/strict";
import test from "node:test";
import { imageWishes } from "@millrace/envelope";
import { Kind, Lane } from "@millrace/proto/batch";
import { Priority } from "@millrace/proto/message";
import { ProcessingMode, StorageFormat, Stream } from "@millrace/proto/stream";
import { toRow } from "./outgoing-row.js";
import { notesStream, textMessage } from "./testing.js";

const now = 1_700_000_000_000.5;
const row = (more: Parameters<typeof textMessage>[1], stream = notesStream) =>
  toRow(textMessage("hi", more), stream, now);

test("what a message leaves out is filled in", () => {
  assert.deepEqual(row({}), {
    lane: Lane.LANE_HIGH,
    kind: Kind.KIND_TEXT,
    content: "hi",
    contentBytes: 2,
    sourceId: "notes",
    attributes: [],
    eventTimeMs: 1_700_000_000_000,
    withoutEmbedding: false,
    imageWish: 0,
    columnBytes: 53,
  });
});

test("the lane follows the priority, else the stream's mode", () => {
  const batch = { ...notesStream, processingMode: ProcessingMode.PROCESSING_MODE_BATCH };
  assert.equal(row({}, batch).lane, Lane.LANE_BATCH);
  assert.equal(row({ priority: Priority.PRIORITY_HIGH }, batch).lane, Lane.LANE_HIGH);
  assert.equal(row({ priority: Priority.PRIORITY_BATCH }).lane, Lane.LANE_BATCH);
});

test("an image is known by its first bytes, and keeps what its sender wants of it", () => {
  const webp = Buffer.from("RIFF\0\0\0\0WEBPVP8 ");
  const image = { content: { $case: "image" as const, value: webp } };
  const imageFeatures = { objectDetection: true, sceneAnalysis: false };
  const { kind, imageWish } = row({ ...image, imageFeatures });
  assert.equal(kind, Kind.KIND_IMAGE);
  const wishOf = imageWishes({ imageRows: [4], imageWishes: [imageWish] }, undefined);
  assert.deepEqual(wishOf(4), { objects: true, scene: false });
  const none = { content: { $case: "image" as const, value: Buffer.from("GIF89a......") } };
  assert.throws(() => row(none), { code: "invalid_argument", field: "image" });
});

test("each limit names its field and what to do", () => {
  const lines = Stream.fromPartial({
    name: "notes",
    outputs: { storage: { format: StorageFormat.STORAGE_FORMAT_LINES } },
  });
  const many = Object.fromEntries(Array.from({ length: 65 }, (_, index) => [`n${index}`, ""]));
  const cases: [field: string, more: Parameters<typeof textMessage>[1], stream?: Stream][] = [
    ["content", { content: undefined }],
    ["text", { content: { $case: "text", value: "x".repeat(768 * 1024 + 1) } }],
    ["data", { content: { $case: "data", value: new Uint8Array(768 * 1024 + 1) } }],
    ["text", { content: { $case: "text", value: "a\nb" } }, lines],
    ["source_id", { sourceId: "x".repeat(257) }],
    ["source_id", { sourceId: "a\0b" }],
    ["attributes", { attributes: many }],
    ["attributes", { attributes: { "": "a" } }],
    ["attributes", { attributes: { a: "x".repeat(8 * 1024 + 1) } }],
    ["event_time", { eventTime: { seconds: -1, nanos: 0 } }],
    ["event_time", { eventTime: { seconds: 1e12, nanos: 0 } }],
    ["priority", { priority: 7 as Priority }],
  ];
  for (const [field, more, stream] of cases) {
    assert.throws(
      () => row(more, stream),
      (error: Error & { field?: string; remedy?: string; code?: string }) => {
        assert.equal(error.code, "invalid_argument", field);
        assert.equal(error.field, field);
        assert.ok((error.remedy ?? "").length > 0);
        assert.doesNotMatch(error.message, /xxx/);
        return true;
      },
    );
  }
});

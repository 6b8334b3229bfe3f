import assert from "node:assert/strict";
import test from "node:test";
import { Stream } from "@millrace/proto/stream";
import { ReadingResponse } from "@millrace/proto/work";
import { describeDataPath } from "./data-path.js";

type Given = Parameters<typeof Stream.fromPartial>[0];
type Reading = Parameters<typeof ReadingResponse.fromPartial>[0];

const describe = (stream: Given, readings: Record<string, Reading | undefined>): string =>
  describeDataPath(
    Stream.fromPartial(stream),
    Object.entries(readings).map(([stage, reading]) => ({
      stage,
      reading: reading && ReadingResponse.fromPartial(reading),
    })),
  );
const copying = { unmappedReason: "this stage copies each" };

test("what each stage did so far is told with how it reads", () => {
  const privacy = { mappedBytes: 10, readBytes: 20, inlineBytes: 30 };
  const told = describe({ mmapBytes: 500_000 }, { privacy, output: copying });
  assert.equal(
    told,
    "mapped: privacy works in place on bodies above 64 KiB, 500000 bytes at once at most" +
      "; output reads plainly, this stage copies each" +
      "; privacy so far: 10 bytes mapped, 20 read, 30 within their batches" +
      "; output so far: 0 bytes mapped, 0 read, 0 within their batches",
  );
});

test("the first word follows from the stream and from what the stages say", () => {
  const mapping = { privacy: {}, output: {} };
  assert.match(describe({}, mapping), /^mapped: privacy works in place .*; output works in place/);
  assert.match(describe({ zeroCopy: false }, mapping), /^mapped: privacy copies out of the map, since/);
  assert.match(describe({ memoryMapping: false }, mapping), /^read: memory_mapping is off/);
  assert.match(describe({ memoryMapping: false }, { privacy: undefined }), /^read: memory_mapping is off/);
  assert.match(describe({}, { privacy: copying, output: copying }), /^read: privacy reads plainly, this/);
  assert.match(describe({}, { output: copying }), /^read: output reads plainly/);
  assert.match(describe({}, { privacy: undefined, output: copying }), /^read: .*; privacy so far: no answer/);
  assert.match(describe({}, { privacy: undefined }), /^unknown; privacy so far: no answer$/);
});

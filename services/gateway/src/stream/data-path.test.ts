import assert from "node:assert/strict";
import test from "node:test";
import { Stream } from "@millrace/proto/stream";
import { ReadingResponse } from "@millrace/proto/work";
import { describeDataPath } from "./data-path.js";

type Given = Parameters<typeof Stream.fromPartial>[0];

const describe = (stream: Given, reading?: Parameters<typeof ReadingResponse.fromPartial>[0]): string =>
  describeDataPath(Stream.fromPartial(stream), reading && ReadingResponse.fromPartial(reading));

test("what privacy did so far is told with how it reads", () => {
  const told = describe({ mmapBytes: 500_000 }, { mappedBytes: 10, readBytes: 20, inlineBytes: 30 });
  assert.match(told, /^mapped: .*in place, 500000 bytes of them at once at most/);
  assert.match(told, /; so far 10 bytes mapped, 20 read, 30 within their batches$/);
});

test("the first word follows from the stream and from what privacy says", () => {
  assert.match(describe({ zeroCopy: false }, {}), /^mapped: .*copied out of the map, since zero_copy is off/);
  assert.match(describe({ memoryMapping: false }, {}), /^read: memory_mapping is off/);
  assert.match(describe({ memoryMapping: false }), /^read: memory_mapping is off for this stream$/);
  assert.match(describe({}, { unmappedReason: "koffi cannot be loaded" }), /^read: .*koffi cannot be loaded/);
  assert.match(describe({ privacy: { exempt: true } }), /^read: the stream is exempt/);
  assert.match(describe({}), /^unknown: privacy does not answer$/);
});

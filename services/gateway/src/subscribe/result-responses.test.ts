import assert from "node:assert/strict";
import test from "node:test";
import { buildBatch, inlineBatch } from "@millrace/envelope/testing";
import { Batch } from "@millrace/proto/batch";
import { SubscribeResponse } from "@millrace/proto/message";
import { createResultEntry } from "./result-entry.js";
import { partsOf } from "./result-responses.js";

const encode = (texts: string[], sourceIds?: string[]): Uint8Array =>
  Batch.encode(inlineBatch(buildBatch({ texts, ...(sourceIds && { sourceIds }) }))).finish();
const all: Parameters<typeof partsOf>[1] = { afterIndex: -1 };
const messagesOf = (data: Uint8Array) =>
  createResultEntry({ seq: 1, subject: "result", data, pending: 0 }, 0).messages();
const contents = (data: Uint8Array, how = all) =>
  [...partsOf(messagesOf(data), how)].map(({ messages, lastIndex }) => ({
    texts: messages.map(({ content }) => content?.value),
    lastIndex,
  }));

test("a small result is one part", () => {
  assert.deepEqual(contents(encode(["a", "b"])), [{ texts: ["a", "b"], lastIndex: "end" }]);
});

test("a result read in part goes on behind the last row", () => {
  assert.deepEqual(contents(encode(["a", "b", "c"]), { ...all, afterIndex: 0 }), [
    { texts: ["b", "c"], lastIndex: "end" },
  ]);
  assert.deepEqual(contents(encode(["a"]), { ...all, afterIndex: 0 }), []);
});

test("only the wanted source ids are shown", () => {
  const data = encode(["a", "b", "c"], ["x", "y", "x"]);
  assert.deepEqual(contents(data, { ...all, isWanted: ({ sourceId }) => sourceId === "x" }), [
    { texts: ["a", "c"], lastIndex: "end" },
  ]);
  assert.deepEqual(contents(data, { ...all, isWanted: () => false }), []);
});

test("a result with many messages is cut into parts that fit a response", () => {
  const open = buildBatch({
    texts: Array.from({ length: 8_192 }, (_, row) => `text ${row} ${"x".repeat(60)}`),
  });
  const hop = {
    stage: "privacy",
    version: "0.1.0",
    decidedBy: "p".repeat(64),
    startedUs: 1.7e15,
    endedUs: 1.7e15,
  };
  const data = Batch.encode(inlineBatch({ ...open, passport: [hop, hop, hop] })).finish();
  const parts = [...partsOf(messagesOf(data), all)];
  assert.ok(parts.length > 1);
  assert.equal(parts.at(-1)?.lastIndex, "end");
  assert.equal(parts.flatMap(({ messages }) => messages).length, 8_192);
  for (const { messages } of parts) {
    const bytes = SubscribeResponse.encode(SubscribeResponse.fromPartial({ messages })).finish().length;
    assert.ok(bytes < 1.5 * 1024 * 1024, `${bytes} bytes`);
  }
});

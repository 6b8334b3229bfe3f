import assert from "node:assert/strict";
import test from "node:test";
import { buildBatch, inlineBatch } from "@millrace/envelope/testing";
import { Batch } from "@millrace/proto/batch";
import { SubscribeRequest, type SubscribeResponse } from "@millrace/proto/message";
import { Stream } from "@millrace/proto/stream";
import { createResultEntry, type ResultEntry } from "./result-entry.js";
import { createResultReader } from "./result-reader.js";
import type { IsWanted } from "./result-filter.js";

const stream = Stream.fromPartial({ name: "live", createdMs: 7 });

function entry(seq: number, texts: string[]): ResultEntry {
  const data = Batch.encode(inlineBatch(buildBatch({ texts }))).finish();
  return createResultEntry({ seq, subject: "", data, pending: 0 }, 0);
}

/** A subscriber from now on, of whom nothing was told yet. */
async function setUp(request: Partial<SubscribeRequest>, isWanted?: IsWanted) {
  const written: SubscribeResponse[] = [];
  let hasRoom = true;
  const reader = createResultReader({
    request: SubscribeRequest.fromPartial({ stream: "live", ...request }),
    stream,
    isWanted,
    bounds: async () => ({ first: 1, last: 9 }),
    stored: async () => ({ first: 1, last: 9, deleted: new Set<number>() }),
    write: async (response) => void written.push(response),
    offer: (response) => hasRoom && written.push(response) > 0,
    signal: new AbortController().signal,
    onGap: () => undefined,
  });
  const { from } = await reader.begin();
  written.length = 0;
  const texts = (): unknown[] =>
    written.splice(0).map(({ messages }) => messages.map(({ content }) => content?.value));
  return { reader, from, texts, written, fill: () => (hasRoom = false) };
}

test("a cut within a response goes on behind each result that it told", async () => {
  const { reader, written } = await setUp({});
  const entries = [entry(2, ["a", "b"]), entry(3, ["c"]), entry(4, ["d"])];
  assert.equal(reader.tellNow(entries), 1);
  const places = written[0]?.places ?? [];
  assert.deepEqual(
    places.map(({ messages }) => messages),
    [2, 1, 1],
  );
  const resumed = await setUp({ resumeToken: places[1]?.resumeToken ?? "" });
  assert.equal(resumed.from, 4);
});

test("who filters is told the wanted messages at once, and nothing where there is none", async () => {
  const { reader, texts } = await setUp({}, ({ content }) => content?.value === "b");
  assert.equal(reader.tellNow([entry(2, ["a", "b"]), entry(3, ["b"])]), 1);
  assert.deepEqual(texts(), [["b", "b"]]);
  assert.equal(reader.tellNow([entry(4, ["a"])]), 0);
  const item = { isConflated: false, skipped: undefined, isDoubtful: false };
  assert.equal(await reader.onItem({ ...item, entries: [entry(5, ["c"])] }), false);
  assert.equal(await reader.onItem({ ...item, entries: [entry(6, ["b"])] }), true);
  assert.deepEqual(texts(), [["b"]]);
});

test("nothing is told at once where there is no room, or where one response can't hold it", async () => {
  const { reader, texts, fill } = await setUp({}, () => true);
  const many = Array.from({ length: 600 }, (_, number) => `text ${number}`);
  assert.equal(reader.tellNow([entry(2, many)]), undefined);
  fill();
  assert.equal(reader.tellNow([entry(2, ["a"])]), undefined);
  assert.deepEqual(texts(), []);
});

import assert from "node:assert/strict";
import test from "node:test";
import { Stream } from "@millrace/proto/stream";
import { pageOf } from "./page.js";

const streams = ["c", "a", "e", "b", "d"].map((name) => Stream.fromPartial({ name }));
const names = (page: { streams: Stream[] }): string[] => page.streams.map(({ name }) => name);

test("pages come in the order of names and end without a token", () => {
  const first = pageOf(streams, { pageSize: 2, pageToken: "" });
  const second = pageOf(streams, { pageSize: 2, pageToken: first.nextPageToken });
  const third = pageOf(streams, { pageSize: 2, pageToken: second.nextPageToken });
  assert.deepEqual([first, second, third].map(names), [["a", "b"], ["c", "d"], ["e"]]);
  assert.equal(third.nextPageToken, "");
  assert.equal(pageOf(streams, { pageSize: 5, pageToken: "" }).nextPageToken, "");
});

test("a stream that goes between pages moves no other one", () => {
  const { nextPageToken } = pageOf(streams, { pageSize: 2, pageToken: "" });
  const left = streams.filter(({ name }) => name !== "b");
  assert.deepEqual(names(pageOf(left, { pageSize: 2, pageToken: nextPageToken })), ["c", "d"]);
});

test("a page that is too large and a token of somebody else are refused", () => {
  assert.throws(() => pageOf(streams, { pageSize: 1_001, pageToken: "" }), { field: "page_size" });
  assert.throws(() => pageOf(streams, { pageSize: 1, pageToken: "!!" }), { field: "page_token" });
});

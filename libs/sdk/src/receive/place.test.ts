import assert from "node:assert/strict";
import { test } from "node:test";
import { Message } from "@millrace/proto/message";
import { formatPlace, placesOf } from "./place.js";

const messages = ["a", "b", "c", "d", "e"].map((id) => Message.fromPartial({ id }));
const tokens = (places: { messages: number; resumeToken: string }[]): string[] =>
  placesOf({ messages, resumeToken: "r3", places }, "r0").map(formatPlace);

test("a place within a response of several results is told by the result that it is in", () => {
  assert.deepEqual(tokens([]), ["r0~a", "r0~b", "r0~c", "r0~d", "r3"]);
  const places = [
    { messages: 2, resumeToken: "r1" },
    { messages: 0, resumeToken: "r2" },
    { messages: 3, resumeToken: "r3" },
  ];
  assert.deepEqual(tokens(places), ["r0~a", "r1", "r2~c", "r2~d", "r3"]);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { Message } from "@millrace/proto/message";
import { cleanMessage, moveFindings } from "./clean-messages.js";

const finding = (type: string, start: number, length: number) => ({
  type,
  place: "body",
  start,
  length,
  box: undefined,
});
const place = (type: string, given: [number, number], now: [number, number]) => ({
  type,
  givenStart: given[0],
  givenLength: given[1],
  start: now[0],
  length: now[1],
});

test("earlier findings move with what is replaced before them, quotes of bare numbers included", () => {
  const given = '{"a":4539578763621486,"b":"[IBAN]","c":"x@example.com","d":"[IP]"}';
  const now = '{"a":"[CARD]","b":"[IBAN]","c":"[EMAIL]","d":"[IP]"}';
  const at = (text: string, token: string): number => text.indexOf(token);
  const places = [
    place("CARD", [at(given, "4539"), 16], [at(now, "[CARD]"), 6]),
    place("EMAIL", [at(given, "x@"), 13], [at(now, "[EMAIL]"), 7]),
  ];
  const earlier = [finding("IBAN", at(given, "[IBAN]"), 6), finding("IP", at(given, "[IP]"), 4)];
  const moved = moveFindings(earlier, places);
  assert.deepEqual(
    moved.map(({ start, length }) => now.slice(start, start + length)),
    ["[IBAN]", "[IP]"],
  );
});

test("an earlier finding within a new one is gone", () => {
  const earlier = [finding("IP", 10, 4), finding("SSN", 30, 5)];
  assert.deepEqual(moveFindings(earlier, [place("URL_CREDENTIALS", [5, 12], [5, 17])]), [
    finding("SSN", 35, 5),
  ]);
});

test("an image keeps its pixels where only a name of its message is cleaned", async () => {
  const value = new Uint8Array([1, 2, 3]);
  const message = Message.fromPartial({
    content: { $case: "image", value },
    sourceId: "x@example.com",
    passport: [{ stage: "privacy" }],
  });
  const place = { type: "EMAIL", start: 0, length: 7, givenStart: 0, givenLength: 13 };
  const { message: cleaned, types } = await cleanMessage(message, async ({ bodies }) => ({
    texts: [],
    names: ["p-1"],
    bodies: bodies.map((body) => ({ body, places: body.length === 13 ? [place] : [] })),
    policy: "hash",
  }));
  assert.deepEqual([cleaned.content, cleaned.sourceId, types], [message.content, "p-1", ["EMAIL"]]);
});

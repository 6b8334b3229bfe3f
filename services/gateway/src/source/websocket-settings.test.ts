import assert from "node:assert/strict";
import test from "node:test";
import { Source, type Value } from "@millrace/proto/source";
import { completeSource, shownSource } from "./source-settings.js";

const text = (value: string): Value => ({ kind: { $case: "text", value } });
const secret = (value: string): Value => ({ kind: { $case: "secret", value } });
const complete = (websocket: object): Source => {
  const value = { url: "wss://feed.example/v1", ...websocket };
  return completeSource("default", Source.fromPartial({ stream: "s", kind: { $case: "websocket", value } }));
};

test("an inline header is no part of the id, nor shown; names of secrets and frames are", () => {
  const source = complete({ headers: { authorization: text("hunter2"), "x-key": secret("feed-key") } });
  assert.equal(
    source.id,
    complete({ headers: { "x-key": secret("feed-key"), authorization: text("x") } }).id,
  );
  assert.notEqual(source.id, complete({ headers: { authorization: text("hunter2") } }).id);
  const withFrame = complete({ subscribe: [text("a frame")] });
  assert.notEqual(withFrame.id, complete({ subscribe: [text("another")] }).id);
  const shown = JSON.stringify([shownSource(source), shownSource(withFrame)]);
  assert.doesNotMatch(shown, /hunter2|a frame/);
  assert.match(shown, /feed-key/);
});

test("defaults are filled in", () => {
  assert.equal(complete({}).id, complete({ pingInterval: { seconds: 30, nanos: 0 } }).id);
});

test("each bad setting is refused by its field", () => {
  const cases: [field: string, websocket: object][] = [
    ["url", { url: "" }],
    ["url", { url: "feed.example" }],
    ["url", { url: "https://feed.example" }],
    ["url", { url: "wss://me:pw@feed.example" }],
    ["url", { url: "wss://feed.example/#a" }],
    ["url", { url: `wss://feed.example/${"a".repeat(2_048)}` }],
    ["headers", { headers: { "bad name": text("a") } }],
    ["headers", { headers: { "X-A": text("a"), "x-a": text("b") } }],
    ["headers.Host", { headers: { Host: text("a") } }],
    ["headers.sec-websocket-key", { headers: { "sec-websocket-key": text("a") } }],
    ["headers.x", { headers: { x: text("a\r\nb: c") } }],
    ["headers.x", { headers: { x: {} } }],
    ["headers.x", { headers: { x: secret("../key") } }],
    ["headers.x", { headers: { x: text("***") } }],
    ["subscribe[1]", { subscribe: [text("a"), text("b".repeat(16_385))] }],
    ["subscribe", { subscribe: Array.from({ length: 65 }, () => text("a")) }],
    ["resume.frame", { resume: { frame: "no place", field: "id" } }],
    ["resume.field", { resume: { frame: "{value}", field: "a..b" } }],
    ["subprotocols", { subprotocols: ["a", "a"] }],
    ["subprotocols", { subprotocols: ["a b"] }],
    ["ping_interval", { pingInterval: { seconds: 0, nanos: 999_999_999 } }],
    ["source_id", { sourceId: "a\nb" }],
  ];
  for (const [field, websocket] of cases) {
    assert.throws(
      () => complete(websocket),
      { code: "invalid_argument", field: `source.websocket.${field}` },
      JSON.stringify(websocket),
    );
  }
});

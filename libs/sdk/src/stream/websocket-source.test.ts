import assert from "node:assert/strict";
import { test } from "node:test";
import { startGateway } from "../test-gateway/gateway.js";
import { createStreamProcessor } from "./processor.js";

test("a WebSocket source is told with its secrets by name", async () => {
  await using gateway = await startGateway();
  const processor = await createStreamProcessor("live", gateway.connect());
  await processor.addWebsocketSource({
    url: "wss://feed.example/v1",
    headers: { authorization: { secret: "feed-token" }, "x-plain": "p" },
    subscribe: ['{"op":"subscribe"}'],
    resume: { frame: '{"after":{value}}', field: "id" },
    pingInterval: "20s",
  });
  const { request } = gateway.state.calls.at(-1) ?? {};
  const { source } = request as { source: { kind: { $case: string; value: Record<string, unknown> } } };
  assert.equal(source.kind.$case, "websocket");
  const { headers, subscribe, pingInterval } = source.kind.value;
  assert.deepEqual(headers, {
    authorization: { kind: { $case: "secret", value: "feed-token" } },
    "x-plain": { kind: { $case: "text", value: "p" } },
  });
  assert.deepEqual(subscribe, [{ kind: { $case: "text", value: '{"op":"subscribe"}' } }]);
  assert.deepEqual(pingInterval, { seconds: 20, nanos: 0 });
  const add = (options: object) =>
    processor.addWebsocketSource({ url: "wss://feed.example", ...options } as { url: string });
  await assert.rejects(add({ url: "" }), { field: "url" });
  await assert.rejects(add({ headers: { a: { secrets: "b" } } }), { field: "headers.a.secrets" });
  await assert.rejects(add({ headers: { a: 1 } }), { field: "headers.a" });
  await assert.rejects(add({ subscribe: "a" }), { field: "subscribe" });
  await assert.rejects(add({ resume: { frame: "{value}" } }), { field: "resume.field" });
  await assert.rejects(add({ pingInterval: "soon" }), { field: "pingInterval" });
  await assert.rejects(add({ token: "a" }), { field: "token" });
});

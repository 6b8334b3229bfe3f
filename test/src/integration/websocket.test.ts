import assert from "node:assert/strict";
import type { AddressInfo } from "node:net";
import { after, before, describe, it } from "node:test";
import { createStreamProcessor, type StreamEvent } from "@millrace/sdk";
import { type WebSocket, WebSocketServer } from "ws";
import { startTestSystem, type TestSystem } from "../system/local-system.js";
import { until } from "../system/observe.js";

describe("a WebSocket source", () => {
  let system: TestSystem;
  let server: WebSocketServer;
  const sockets: WebSocket[] = [];
  const heard: string[] = [];
  before(async () => {
    server = new WebSocketServer({ host: "127.0.0.1", port: 0 });
    server.on("connection", (socket, { headers }) => {
      if (headers.authorization !== "Bearer hunter2") return socket.close(4401);
      socket.on("message", (data) => heard.push((data as Buffer).toString()));
      sockets.push(socket);
    });
    system = await startTestSystem({ allowPrivate: ["127.0.0.1"] });
  });
  after(async () => {
    await system.stop();
    for (const socket of server.clients) socket.terminate();
    await new Promise((done) => server.close(done));
  });

  it("is read redacted, tells of a gap when it is lost, pauses, and shows no credentials", async () => {
    const { port } = server.address() as AddressInfo;
    const settings = { enrichments: { embeddings: false, sentiment: false } } as const;
    await using stream = await createStreamProcessor("feed", system.client, settings);
    const gaps: StreamEvent<"source_gap">[] = [];
    const texts: string[] = [];
    await stream.onEvent("source_gap", (event) => void gaps.push(event)).ready;
    await stream.onTextMessage(({ content }) => void texts.push(content)).ready;
    const source = await stream.addWebsocketSource({
      url: `ws://127.0.0.1:${port}/feed`,
      headers: { authorization: "Bearer hunter2" },
      subscribe: ['{"op":"subscribe"}'],
      resume: { frame: '{"after":{value}}', field: "id" },
      sourceId: "feed",
    });
    await until(() => heard.length === 1, "the subscribe frame");
    sockets[0]?.send('{"id":1,"mail":"ann@example.com"}');
    await until(() => texts.length === 1, "the first message");
    assert.deepEqual(texts, ['{"id":1,"mail":"[EMAIL]"}']);
    sockets[0]?.terminate();
    await until(() => heard.length === 3, "the frames of the second connection");
    assert.deepEqual(heard.slice(1), ['{"op":"subscribe"}', '{"after":1}']);
    sockets[1]?.send('{"id":2}');
    await until(() => texts.length === 2 && gaps.length === 1, "the second message, and the gap");
    const { payload } = gaps[0] as StreamEvent<"source_gap">;
    assert.deepEqual([payload.source, payload.resumed], [source.id, true]);
    assert.ok(payload.to.getTime() >= payload.from.getTime());
    await source.pause();
    await until(async () => (await source.status()).state === "paused", "the pause");
    await until(() => server.clients.size === 0, "the end of the connection");
    assert.doesNotMatch(await system.logText(), /hunter2|ann@example/);
  });

  it("of a private host that is not allowed fails with what to do", async () => {
    await using stream = await createStreamProcessor("private", system.client);
    const source = await stream.addWebsocketSource({ url: "wss://169.254.169.254/" });
    await until(async () => (await source.status()).state === "failed", "the failure");
    await until(
      async () => /egress\.allowPrivate/.test((await source.status()).lastError ?? ""),
      "what to do",
    );
  });
});

import { readFile } from "node:fs/promises";
import { createServer as createPlain } from "node:http";
import { createServer as createTls } from "node:https";
import type { AddressInfo } from "node:net";
import { limits } from "@millrace/envelope";
import type { SourceHandle, WebsocketSourceOptions } from "@millrace/sdk";
import { WebSocketServer } from "ws";
import { until } from "../../system/observe.js";
import { credentials, secrets } from "../contract-system.js";
import type { OpenSource, SourceToOpen, SourceUnderTest } from "./source-under-test.js";

export const websocketSource: SourceUnderTest = {
  name: "WebSocket",
  reader: "ingestion",
  replays: false,
  leftOut: {},
  untrusted: /certificate is not trusted.*egress\.caFile/s,
  badSettings: ({ stream }) => {
    const add = (more: Partial<WebsocketSourceOptions>) => () =>
      stream.addWebsocketSource({ url: "wss://feed.example/", ...more });
    return [
      ["source.websocket.url", add({ url: "https://feed.example/" })],
      ["source.websocket.url", add({ url: "wss://me:secret@feed.example/" })],
      ["source.websocket.headers.upgrade", add({ headers: { upgrade: "h2c" } })],
      ["source.websocket.resume.frame", add({ resume: { frame: "on", field: "id" } })],
      ["source.websocket.ping_interval", add({ pingInterval: "1ms" })],
    ];
  },
  open: openWebsocket,
};

async function openWebsocket({ system, stream, signedBy }: SourceToOpen): Promise<OpenSource> {
  const feed = await startFeed(signedBy === undefined ? undefined : await system[signedBy].issue("feed"));
  const headers = { authorization: { secret: secrets.feedToken } };
  const resume = { frame: '{"after":{value}}', field: "id" };
  const add = (path: string): Promise<SourceHandle> =>
    stream.addWebsocketSource({ url: `${feed.url}${path}`, headers, resume });
  const source = await add("feed");
  const state = async (): Promise<string> => (await source.status()).state;
  if (signedBy !== "stranger") await until(async () => (await state()) === "running", "the feed is read");
  /** On a connection of another source of the stream, which it ends. */
  const giveAlone = async (data: Buffer, words: RegExp): Promise<void> => {
    const other = await add("alone");
    await until(() => feed.send("alone", data) > 0, "the other connection");
    await until(async () => words.test((await other.status()).lastError ?? ""), `the error ${words}`);
    await other.remove();
  };
  const refusedHost = async (): Promise<void> => {
    const other = await stream.addWebsocketSource({ url: "wss://169.254.169.254/" });
    await until(
      async () => /egress\.allowPrivate/.test((await other.status()).lastError ?? ""),
      "what to do",
    );
    await other.remove();
  };
  const noUtf8 = /a text is not UTF-8 \(1007\)/;
  return {
    feed: async (texts) => {
      for (const text of texts) feed.tell(text);
    },
    waits: async () => (await state()) === "waiting",
    lastError: async () => (await source.status()).lastError ?? "",
    tooLarge: {
      what: "a frame one byte too large",
      told: "dead letter",
      words: /above the limit of \d+ bytes/,
      give: async () => feed.send("feed", "x".repeat(limits.messageBytesMax + 1)),
    },
    bad: [
      {
        what: "a line feed where the stream stores lines",
        told: "dead letter",
        words: /line feed/,
        give: async () => feed.send("feed", "two\nlines"),
      },
      {
        what: "a private host that the operator does not allow",
        told: "caller",
        words: /^told$/,
        give: () => refusedHost().then(() => "told"),
      },
      {
        what: "a text frame that is no UTF-8, which ends its connection",
        told: "caller",
        words: /^told$/,
        give: () => giveAlone(Buffer.from([0x78, 0xff]), noUtf8).then(() => "told"),
      },
      {
        what: "a frame of more than 1 MiB, which ends its connection",
        told: "caller",
        words: /^told$/,
        give: () => giveAlone(Buffer.alloc(1024 * 1024 + 1, "x"), /1 MiB \(1009\)/).then(() => "told"),
      },
    ],
    cut: async () => feed.cut(),
    close: () => feed.close(),
  };
}

/**
 * A feed that tells each message to whoever is connected, and to nobody later, unless it is asked by
 * `{"after":3}` for those with a higher id.
 */
async function startFeed(tls: { certFile: string; keyFile: string } | undefined) {
  const server =
    tls === undefined
      ? createPlain()
      : createTls({ cert: await readFile(tls.certFile), key: await readFile(tls.keyFile) });
  const sockets = new WebSocketServer({ server });
  sockets.on("error", () => undefined);
  const paths = new WeakMap<object, string>();
  const told: { id: number; data: string }[] = [];
  sockets.on("connection", (socket, { headers, url }) => {
    socket.on("error", () => undefined);
    if (headers.authorization !== credentials.feedToken) socket.close(4401);
    else paths.set(socket, url ?? "");
    socket.on("message", (frame) => {
      const { after } = JSON.parse((frame as Buffer).toString()) as { after: number };
      for (const { id, data } of told) if (id > after) socket.send(data, { binary: false });
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const send = (path: string, data: string | Buffer): number => {
    const there = [...sockets.clients].filter((socket) => paths.get(socket) === `/${path}`);
    for (const socket of there) socket.send(data, { binary: false });
    return there.length;
  };
  return {
    url: `${tls === undefined ? "ws" : "wss"}://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    /** As a text frame; answers with how many were connected there. */
    send,
    tell: (data: string): void => {
      told.push({ id: (JSON.parse(data) as { id: number }).id, data });
      send("feed", data);
    },
    cut: (): void => {
      for (const socket of sockets.clients) socket.terminate();
    },
    close: async (): Promise<void> => {
      for (const socket of sockets.clients) socket.terminate();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

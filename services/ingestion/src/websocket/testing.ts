import { createServer as createPlain, type Server } from "node:http";
import { createServer as createTls } from "node:https";
import type { AddressInfo } from "node:net";
import type { TestContext } from "node:test";
import { type WebSocket, WebSocketServer } from "ws";

/** A feed: a real server whose connections the test drives. */
export interface Feed {
  url: string;
  server: Server;
  /** Those that are open, the last one last. */
  sockets: WebSocket[];
  /** Headers of the handshakes. */
  asked: Record<string, unknown>[];
  /** What clients sent. */
  heard: string[];
  /** A status instead of an upgrade, with its headers. */
  refuse: { status: number; headers?: Record<string, string> } | undefined;
  onSocket: (socket: WebSocket) => void;
}

export async function createFeed(
  t: TestContext,
  { tls, autoPong = true }: { tls?: { cert: Buffer; key: Buffer }; autoPong?: boolean } = {},
): Promise<Feed> {
  const server = tls === undefined ? createPlain() : createTls(tls);
  const sockets = new WebSocketServer({ noServer: true, autoPong });
  const feed: Feed = {
    url: "",
    server,
    sockets: [],
    asked: [],
    heard: [],
    refuse: undefined,
    onSocket: () => undefined,
  };
  server.on("upgrade", (request, socket, head) => {
    feed.asked.push(request.headers);
    const { refuse } = feed;
    if (refuse !== undefined) {
      const lines = Object.entries(refuse.headers ?? {}).map(([name, value]) => `${name}: ${value}\r\n`);
      socket.end(`HTTP/1.1 ${refuse.status} No\r\n${lines.join("")}content-length: 0\r\n\r\n`);
      return;
    }
    sockets.handleUpgrade(request, socket, head, (opened) => {
      feed.sockets.push(opened);
      opened.on("message", (data) => feed.heard.push((data as Buffer).toString()));
      opened.on("error", () => undefined);
      opened.on("close", () => feed.sockets.splice(feed.sockets.indexOf(opened), 1));
      feed.onSocket(opened);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  feed.url = `${tls === undefined ? "ws" : "wss"}://127.0.0.1:${(server.address() as AddressInfo).port}/feed`;
  t.after(async () => {
    for (const socket of sockets.clients) socket.terminate();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return feed;
}

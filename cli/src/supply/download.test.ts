import assert from "node:assert/strict";
import { once } from "node:events";
import { type RequestListener, createServer } from "node:http";
import type { AddressInfo } from "node:net";
import test, { type TestContext } from "node:test";
import { download } from "./download.js";

const limits = { idleMs: 10_000, bytesMax: 1_000 };

test("the bytes of an answer are returned", async (t) => {
  const url = await serve(t, (_, response) => response.end("binary"));
  assert.equal(Buffer.from(await download(url, limits)).toString(), "binary");
});

test("a host that stops sending is given up", async (t) => {
  const url = await serve(t, (_, response) => response.write("half"));
  await assert.rejects(download(url, { ...limits, idleMs: 200 }), { code: "deadline_exceeded" });
});

test("a refusal is reported with its status", async (t) => {
  const url = await serve(t, (_, response) => response.writeHead(404).end());
  await assert.rejects(download(url, limits), { code: "unavailable", message: /answered 404/ });
});

test("an answer above the bound is refused", async (t) => {
  const url = await serve(t, (_, response) => response.end("x".repeat(1_001)));
  await assert.rejects(download(url, limits), { code: "data_loss", message: /larger than 1000 bytes/ });
});

test("a host that is not there is reported with the reason", async (t) => {
  const url = await serve(t, () => {});
  const closed = new URL(url);
  closed.port = "1";
  await assert.rejects(download(closed.href, limits), {
    code: "unavailable",
    message: /ECONNREFUSED|bad port/,
  });
});

async function serve(t: TestContext, listener: RequestListener): Promise<string> {
  const server = createServer(listener).listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/file`;
}

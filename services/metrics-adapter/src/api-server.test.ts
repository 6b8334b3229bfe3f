import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { Agent, request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { TLSSocket } from "node:tls";
import { readKeyPair, type TlsFiles } from "@millrace/runtime";
import { createAuthority, type TestAuthority } from "@millrace/runtime/testing";
import { type ApiServer, createApiServer } from "./api-server.js";

let dir: string;
let servers: TestAuthority;
let proxies: TestAuthority;
let renewed: TestAuthority;
let server: ApiServer;
let serving: TlsFiles;

before(async () => {
  dir = await mkdtemp(join(tmpdir(), "millrace-api-"));
  servers = await createAuthority(join(dir, "servers"));
  proxies = await createAuthority(join(dir, "proxies"));
  renewed = await createAuthority(join(dir, "renewed"));
  serving = await servers.issue("metrics-adapter");
  server = createApiServer({
    listen: { host: "127.0.0.1", port: 0 },
    pair: readKeyPair(serving),
    answer: async ({ peer }) => ({ status: 200, body: peer }),
  });
  await server.start?.();
});
after(async () => {
  await server.stop?.(new AbortController().signal);
  await rm(dir, { recursive: true, force: true });
});

async function callerOf(client: TlsFiles | undefined) {
  const own = client === undefined ? {} : readKeyPair(client);
  const agent = new Agent({ keepAlive: true, maxSockets: 1, ca: await readFile(servers.caFile), ...own });
  const call = (): Promise<{ peer: string; serial: string; isReused: boolean }> =>
    new Promise((resolve, reject) => {
      const asking = request({ host: "127.0.0.1", port: server.port(), agent }, (response) => {
        const serial = (response.socket as TLSSocket).getPeerCertificate().serialNumber;
        let text = "";
        response.on("data", (chunk: Buffer) => {
          text += chunk.toString();
        });
        response.on("end", () => {
          const { commonName, isVerified } = JSON.parse(text) as { commonName?: string; isVerified: boolean };
          resolve({ peer: `${commonName} ${isVerified}`, serial, isReused: asking.reusedSocket });
        });
      });
      asking.on("error", reject).end();
    });
  return { call, agent };
}

const ca = (authority: TestAuthority): Promise<string> => readFile(authority.caFile, "utf8");

test("before a CA is known nobody is verified, and later only who is of it", async () => {
  const proxy = await proxies.issue("front-proxy");
  const early = await callerOf(proxy);
  assert.equal((await early.call()).peer, "front-proxy false");
  server.renew(readKeyPair(serving), await ca(proxies));
  const callers = [proxy, await renewed.issue("front-proxy"), undefined];
  const seen = [];
  for (const client of callers) {
    const { call, agent } = await callerOf(client);
    seen.push((await call()).peer);
    // A resumed session is verified as the first was, never by having one.
    agent.destroy();
    seen.push((await call()).peer);
    agent.destroy();
  }
  assert.deepEqual(seen, [
    "front-proxy true",
    "front-proxy true",
    "front-proxy false",
    "front-proxy false",
    "undefined false",
    "undefined false",
  ]);
  early.agent.destroy();
});

test("a renewed CA vouches for new connections, and the old one's no more", async () => {
  server.renew(readKeyPair(serving), await ca(proxies));
  const old = await callerOf(await proxies.issue("front-proxy"));
  assert.equal((await old.call()).peer, "front-proxy true");
  server.renew(readKeyPair(serving), await ca(renewed));
  const next = await callerOf(await renewed.issue("front-proxy"));
  assert.equal((await next.call()).peer, "front-proxy true");
  // Whether or not its connection was idle and is closed.
  const again = await callerOf(await proxies.issue("front-proxy"));
  assert.equal((await again.call()).peer, "front-proxy false");
  for (const { agent } of [old, next, again]) agent.destroy();
});

test("a renewed certificate is presented to new connections, and ends no other", async () => {
  server.renew(readKeyPair(serving), await ca(proxies));
  const caller = await callerOf(await proxies.issue("front-proxy"));
  const first = await caller.call();
  const next = readKeyPair(await servers.issue("metrics-adapter"));
  server.renew(next, await ca(proxies));
  const kept = await caller.call();
  assert.deepEqual([kept.isReused, kept.peer], [true, "front-proxy true"]);
  const other = await callerOf(await proxies.issue("front-proxy"));
  assert.notEqual((await other.call()).serial, first.serial);
  for (const { agent } of [caller, other]) agent.destroy();
});

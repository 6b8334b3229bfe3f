import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import { gzipSync } from "node:zlib";
import { sha256 } from "./binary-cache.js";
import { obtainNatsServer } from "./obtain-server.js";

const genuine = Buffer.from("#!/bin/sh\necho 'nats-server: v2.15.1'\n");

test("a release whose binary has the pinned bytes is kept", async (t) => {
  const { releaseUrl, cacheDir, paths } = await host(t, archive(genuine));
  const found = await obtain(releaseUrl, cacheDir);
  assert.ok("path" in found);
  assert.equal(found.how, "release download");
  assert.deepEqual(await readFile(found.path), genuine);
  assert.deepEqual(paths, ["/v2.15.1/nats-server-v2.15.1-test-amd64.tar.gz"]);
});

test("a release whose binary differs by a byte is refused", async (t) => {
  const forged = Buffer.concat([genuine, Buffer.from("\n")]);
  const { releaseUrl, cacheDir } = await host(t, archive(forged));
  await assert.rejects(obtain(releaseUrl, cacheDir), {
    message: /release download: refused: its sha256 is /,
  });
});

test("a release that is cut short is refused", async (t) => {
  const { releaseUrl, cacheDir } = await host(t, archive(genuine).subarray(0, 60));
  await assert.rejects(obtain(releaseUrl, cacheDir), { message: /release download: read the tar\.gz/ });
});

function obtain(releaseUrl: string, cacheDir: string) {
  const builds = { "test-x64": { sha256: sha256(genuine), wheelTag: "any", release: "test-amd64" } };
  return obtainNatsServer({
    cacheDir,
    log: () => {},
    env: { PATH: "" },
    pin: { version: "2.15.1", builds },
    platform: "test-x64",
    releaseUrl,
  });
}

async function host(t: TestContext, body: Buffer) {
  const paths: string[] = [];
  const server = createServer((request, response) => {
    paths.push(request.url ?? "");
    response.end(body);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const cacheDir = await mkdtemp(join(tmpdir(), "millrace-release-"));
  t.after(async () => {
    server.close();
    await rm(cacheDir, { recursive: true });
  });
  return { releaseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, cacheDir, paths };
}

function archive(binary: Buffer): Buffer {
  const header = Buffer.alloc(512);
  header.write("nats-server-v2.15.1/nats-server");
  header.write(binary.length.toString(8).padStart(11, "0"), 124);
  header.write("        0", 148);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  return gzipSync(Buffer.concat([header, binary, Buffer.alloc(1024 - (binary.length % 512))]));
}

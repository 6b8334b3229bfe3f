import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { adminUser, connectBroker, seedFile } from "@millrace/messaging";
import { findNatsServer, freePort, startNats } from "@millrace/messaging/testing";
import { silentLogger } from "@millrace/runtime";
import { eventually } from "@millrace/runtime/testing";

const program = fileURLToPath(new URL("../provision-main.js", import.meta.url));
const storeBytes = 256 * 1024 * 1024;

function scratch(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), "millrace-provision-"));
  t.after(() => rmSync(dir, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 }));
  return dir;
}

async function run(dir: string, config: object): Promise<{ code: number; out: string }> {
  const path = join(dir, "provision.json");
  writeFileSync(path, JSON.stringify(config));
  const child = spawn(process.execPath, [program, "--config", path]);
  let out = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (text) => (out += String(text)));
  const [code] = (await once(child, "close")) as [number];
  return { code, out };
}

test("a broker that is set up twice is set up once, by the user that may do nothing else", async (t) => {
  const nats = await startNats({ provisioned: false });
  t.after(() => nats.stop());
  const config = { nats: { url: nats.url, seedFile: seedFile(nats.keysDir, adminUser) }, storeBytes };
  const dir = scratch(t);
  for (const time of ["first", "second"]) {
    const { code, out } = await run(dir, config);
    assert.equal(code, 0, `${time}: ${out}`);
    assert.match(out, /streams, consumers and buckets are there/);
  }
  const buffer = await nats.connect("buffer");
  const { config: made } = await buffer.manager.streams.info("RAW");
  await buffer.connection.close();
  assert.equal(made.num_replicas, 1);
});

test("a broker that is away is waited for, so long and no longer", async (t) => {
  const url = `nats://127.0.0.1:${await freePort()}`;
  const { code, out } = await run(scratch(t), { nats: { url }, storeBytes, waitMs: 2_000 });
  assert.equal(code, 1);
  assert.match(out, /the broker is not ready, trying again/);
  assert.match(out, /provision within 2000 ms: connect to the broker at nats:.*"msg":"not provisioned"/);
  assert.match(out, /"field":"nats.url","remedy":"Start it there, or correct the address."/);
});

test("a file that is not there is no matter of time", async (t) => {
  const nats = { seedFile: "/nowhere/provisioner.seed" };
  const { code, out } = await run(scratch(t), { nats, storeBytes });
  assert.equal(code, 1);
  assert.match(out, /"code":"not_found","error":"read nkey seed .nowhere/);
});

test("a config that is wrong is refused at once by its field", async (t) => {
  for (const [config, said] of [
    [{}, /storeBytes/],
    [{ storeBytes, replicas: 2 }, /replicas/],
    [{ storeBytes, colour: 1 }, /unknown key colour/],
  ] as const) {
    const { code, out } = await run(scratch(t), config);
    assert.deepEqual([code, said.test(out)], [2, true], out);
  }
});

/** Three servers of one cluster, as a StatefulSet starts them. */
async function startCluster(t: TestContext) {
  const dir = scratch(t);
  const servers = await Promise.all(
    [0, 1, 2].map(async (at) => ({ at, port: await freePort(), route: await freePort() })),
  );
  const routes = servers.map(({ route }) => `nats://127.0.0.1:${route}`).join(",");
  const children: ChildProcess[] = [];
  const stop = async (): Promise<void> => {
    const closed = children.map((child) => once(child, "close"));
    for (const child of children) child.kill("SIGKILL");
    await Promise.all(closed);
  };
  const start = ({ at, port, route }: (typeof servers)[number]): void => {
    const path = join(dir, `nats-${at}.conf`);
    const cluster = `cluster { name: c, listen: "127.0.0.1:${route}", routes: [${routes}] }`;
    const own = `server_name: n${at}\nlisten: "127.0.0.1:${port}"`;
    const store = `jetstream { store_dir: "${dir}/${at}", max_file_store: 1GB }`;
    writeFileSync(path, `${own}\n${store}\n${cluster}\n`);
    children.push(spawn(findNatsServer(), ["-c", path], { stdio: "ignore" }));
  };
  return { urls: servers.map(({ port }) => `nats://127.0.0.1:${port}`), servers, start, stop };
}

test("three copies of everything are made once three servers are there", async (t) => {
  const { servers, start, stop, urls } = await startCluster(t);
  const [first, second, third] = servers;
  if (first === undefined || second === undefined || third === undefined) assert.fail();
  start(first);
  const [url = ""] = urls;
  const running = run(scratch(t), { nats: { url }, storeBytes, replicas: 3, waitMs: 100_000 });
  start(second);
  start(third);
  const { code, out } = await running;
  assert.equal(code, 0, out);
  const broker = await connectBroker({ url, user: "admin", log: silentLogger, onClosed: () => undefined });
  t.after(async () => {
    await broker.connection.close();
    await stop();
  });
  for await (const { config } of broker.manager.streams.list()) {
    assert.equal(config.num_replicas, 3, config.name);
  }
  await eventually(
    async () => {
      const { cluster } = await broker.manager.consumers.info("RAW", "privacy-high");
      return cluster?.replicas?.length === 2;
    },
    { what: "consumers follow their stream" },
  );
});

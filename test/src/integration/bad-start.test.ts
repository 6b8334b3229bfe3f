import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { once } from "node:events";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { cacheDir, localPorts, manifestPath, resolveTextModel } from "@millrace/cli/local";
import { seedFile, serviceUsers } from "@millrace/messaging";
import { freePort, type NatsServer, startNats } from "@millrace/testkit";
import { freePortBlock } from "../system/describe-system.js";
import { type ProgramEnd, runToEnd } from "../system/run-program.js";
import { workspace } from "../system/supplies.js";

/** A service that can't start says so and ends within this; model files are hashed before. */
const startMs = 20_000;

describe("a program that can't start says why and ends", () => {
  let dir: string;
  let nats: NatsServer;
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), "millrace-bad-start-"));
    nats = await startNats();
  });
  after(async () => {
    await nats.stop();
    await rm(dir, { recursive: true, force: true });
  });

  /** Runs a service with a config file of this text. */
  const startWith = async (service: string, config: string): Promise<ProgramEnd> => {
    const path = join(dir, "config.json");
    await writeFile(path, config);
    const main = join(workspace, "services", service, "dist", "main.js");
    return runToEnd({ args: [main, "--config", path], timeoutMs: startMs });
  };
  const start = (service: string, config: object) => startWith(service, JSON.stringify(config));
  const broker = (user: string) => ({ url: nats.url, seedFile: seedFile(nats.keysDir, user) });

  for (const service of serviceUsers) {
    it(`${service} with a setting that it does not know`, async () => {
      const { code, stderr } = await start(service, { colour: "red" });
      assert.equal(code, 2, stderr);
      assert.match(stderr, /config\.json: .*colour/);
      const nested = await start(service, { nats: { colour: "red" } });
      assert.equal(nested.code, 2, nested.stderr);
      assert.match(nested.stderr, /unknown key nats\.colour \(field: nats\.colour\)\. Remove it or correct/);
    });
  }

  it("a setting out of range, a config that is no JSON or not there, an argument that is none", async () => {
    const port = await start("buffer", { grpc: { port: 99_999 } });
    assert.equal(port.code, 2);
    assert.match(port.stderr, /\(field: grpc\.port\)\. Correct the value; --print-schema/);
    const noJson = await startWith("buffer", "{ port: 1");
    assert.equal(noJson.code, 2);
    assert.match(noJson.stderr, /config\.json: not JSON.*\(field: --config\)/);
    const main = join(workspace, "services", "buffer", "dist", "main.js");
    const missing = await runToEnd({ args: [main, "--config", join(dir, "none.json")], timeoutMs: startMs });
    assert.equal(missing.code, 2);
    assert.match(missing.stderr, /none\.json: cannot be read \(field: --config\)\. Name a JSON file/);
    const unknown = await runToEnd({ args: [main, "--colour"], timeoutMs: startMs });
    assert.equal(unknown.code, 2);
    assert.match(unknown.stderr, /unknown argument --colour .*Known: --config/);
  });

  it("a model file with one byte changed, and one that is not there", async () => {
    const request = { cacheDir: cacheDir(workspace, process.env), log: () => undefined };
    const model = await resolveTextModel({ ...request, manifestPath: manifestPath(workspace) });
    const directory = join(dir, "models");
    await cp(join(model.modelsDirectory, model.name), join(directory, model.name), { recursive: true });
    const file = join(directory, model.name, "model.onnx");
    const bytes = await readFile(file);
    const expected = createHash("sha256").update(bytes).digest("hex");
    const middle = bytes.length >> 1;
    bytes.writeUInt8(bytes.readUInt8(middle) ^ 1, middle);
    await writeFile(file, bytes);
    const found = createHash("sha256").update(bytes).digest("hex");
    const models = { manifestPath: model.manifestPath, directory, text: model.name, workers: 1 };
    const config = { nats: broker("inference"), models, segments: { cleanDir: join(dir, "clean") } };

    const corrupt = await start("inference", config);
    assert.equal(corrupt.code, 1, corrupt.stdout);
    const failure = failureOf(corrupt);
    assert.ok(failure.error.includes(`${file} has sha256 ${found}, expected ${expected}`), failure.error);
    assert.equal(failure.remedy, "Run: npx millrace models pull");
    assert.ok(!corrupt.stdout.includes('"ready"'), "nothing is served by it");

    await rm(file);
    const missing = await start("inference", config);
    assert.equal(missing.code, 1, missing.stdout);
    assert.ok(failureOf(missing).error.includes(`${file} (sha256 ${expected}) could not be read`));
    assert.equal(failureOf(missing).remedy, "Run: npx millrace models pull");

    const unknown = await start("inference", { ...config, models: { ...models, text: "no-such-model" } });
    assert.equal(unknown.code, 1);
    assert.match(failureOf(unknown).error, /model no-such-model is not in .*manifest\.json/);
    assert.match(failureOf(unknown).remedy, new RegExp(`Name one of: .*${model.name}`));

    const objects = "centernet-mobilenetv3-coco";
    const optIn = await start("inference", { ...config, models: { ...models, objects } });
    assert.equal(optIn.code, 1, optIn.stdout);
    assert.match(failureOf(optIn).error, /centernet-mobilenetv3-coco\/model\.onnx .*could not be read/);
    assert.equal(failureOf(optIn).remedy, `Run: npx millrace models pull --only ${objects}`);
  });

  it("a gateway whose ports somebody else has", async () => {
    const taken = await listenOn(0);
    const port = portOf(taken);
    const config = { nats: broker("gateway"), http: { port: 0 } };
    for (const [field, more] of [
      ["http.port", { http: { port } }],
      ["grpc.port", { grpc: { port } }],
    ] as const) {
      const end = await start("gateway", { ...config, ...more });
      assert.equal(end.code, 1, end.stdout);
      const failure = failureOf(end);
      assert.equal(failure.error, `listen on 127.0.0.1:${port}: port ${port} is in use`);
      assert.equal(failure.field, field);
      assert.equal(failure.remedy, "Stop what uses it or set another port.");
    }
    taken.close();
  });

  it("a key or seed that is not there", async () => {
    const gateway = await start("gateway", { nats: { url: nats.url, seedFile: join(dir, "none.nk") } });
    assert.equal(gateway.code, 1);
    assert.equal(failureOf(gateway).field, "nats.seedFile");
    const key = { nats: broker("privacy"), pseudonymKeyFile: join(dir, "none.key") };
    const privacy = await start("privacy", key);
    assert.equal(privacy.code, 1);
    assert.equal(failureOf(privacy).field, "pseudonymKeyFile");
    assert.equal(failureOf(privacy).remedy, "Name a file that holds 64 hex digits.");
  });

  const up = (stateDir: string, basePort: number, env: NodeJS.ProcessEnv = {}): Promise<ProgramEnd> => {
    const main = join(workspace, "cli", "dist", "main.js");
    const args = [main, "up", "--once", "--model-workers", "1", "--state-dir", stateDir];
    return runToEnd({ args: [...args, "--base-port", String(basePort)], env, timeoutMs: 60_000 });
  };

  for (const victim of ["gateway", "nats-server"] as const) {
    it(`millrace up where somebody has the port of ${victim}, and nothing is left running`, async () => {
      const base = await freePortBlock();
      const ports = localPorts(base);
      const port = victim === "gateway" ? ports.grpc : ports.nats;
      const taken = await listenOn(port);
      const stateDir = join(dir, `up-${victim}`);
      await mkdir(stateDir);
      const { code, stderr } = await up(stateDir, base, { NATS_URL: "" });
      assert.equal(code, 1, stderr);
      assert.match(stderr, new RegExp(`start ${victim}: port ${port} is in use by another process`));
      assert.match(
        stderr,
        new RegExp(`${victim} port.*Stop what listens there \\(lsof -i :${port} names it\\)`, "s"),
      );
      taken.close();
      for (const offset of Array.from({ length: 12 }, (_, at) => at)) {
        const again = await listenOn(base + offset);
        again.close();
        await once(again, "close");
      }
    });
  }

  it("millrace up with a NATS_URL where nobody answers", async () => {
    const port = await freePort();
    const stateDir = join(dir, "up-no-broker");
    await mkdir(stateDir);
    const started = performance.now();
    const { code, stderr } = await up(stateDir, await freePortBlock(), {
      NATS_URL: `nats://127.0.0.1:${port}`,
    });
    assert.equal(code, 1, stderr);
    assert.match(
      stderr,
      new RegExp(`NATS_URL.*127\\.0\\.0\\.1:${port}|127\\.0\\.0\\.1:${port}.*NATS_URL`, "s"),
    );
    assert.ok(performance.now() - started < 45_000, "it gives up within its bound");
  });
});

interface Failure {
  error: string;
  field: string;
  remedy: string;
}

/** What the service's last words were: the log line of its failed start. */
function failureOf({ stdout, stderr }: ProgramEnd): Failure {
  const lines = `${stdout}\n${stderr}`.split("\n").filter((line) => line.includes('"failed, stopping"'));
  assert.equal(lines.length, 1, stdout + stderr);
  const { error = "", field = "", remedy = "" } = JSON.parse(lines[0] ?? "{}") as Partial<Failure>;
  return { error, field, remedy };
}

async function listenOn(port: number): Promise<Server> {
  const server = createServer().listen(port, "127.0.0.1");
  await once(server, "listening");
  return server;
}

function portOf(server: Server): number {
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : 0;
}

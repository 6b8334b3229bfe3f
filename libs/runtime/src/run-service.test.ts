import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { eventually } from "./testing/eventually.js";

const program = fileURLToPath(new URL("testing/probe-service.js", import.meta.url));

function run(t: TestContext, args: readonly string[], env: NodeJS.ProcessEnv = {}) {
  const child = spawn(process.execPath, [program, ...args], { env: { ...process.env, ...env } });
  t.after(() => child.kill("SIGKILL"));
  let out = "";
  let err = "";
  child.stdout.on("data", (chunk: Buffer) => (out += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (err += chunk.toString()));
  const exited = once(child, "close").then(([code]) => code as number | null);
  const ready = () => eventually(() => out.includes('"msg":"ready"'), { what: "the service is ready" });
  return { child, exited, ready, out: () => out, err: () => err };
}

function configFile(t: TestContext, value: unknown): string {
  const dir = mkdtempSync(join(tmpdir(), "millrace-probe-"));
  t.after(() => rmSync(dir, { recursive: true }));
  const path = join(dir, "probe.json");
  writeFileSync(path, JSON.stringify(value));
  return path;
}

for (const signal of ["SIGTERM", "SIGINT"] as const) {
  test(`${signal} ends it in order with exit code 0`, async (t) => {
    const service = run(t, []);
    await service.ready();
    service.child.kill(signal);
    assert.equal(await service.exited, 0);
    // By the time that each line tells: two writers share the output.
    const lines = service.out().trim().split("\n");
    const told = lines.map((line) => JSON.parse(line) as { time: string; msg: string });
    const timeOf = (msg: string): string => told.find((line) => line.msg === msg)?.time ?? "";
    assert.ok(timeOf("work is finished") !== "" && timeOf("stopped") >= timeOf("work is finished"));
  });
}

test("it serves probes on the port that it logs, ready and then stopped", async (t) => {
  const service = run(t, []);
  await service.ready();
  const port = /"http_port":(\d+)/.exec(service.out())?.[1];
  const response = await fetch(`http://127.0.0.1:${port}/readyz`);
  assert.equal(response.status, 200);
  service.child.kill("SIGTERM");
  assert.equal(await service.exited, 0);
});

test("it ends when the supervisor's pipe closes, if it was told to watch it", async (t) => {
  const watching = run(t, [], { MILLRACE_PARENT_PIPE: "1" });
  await watching.ready();
  watching.child.stdin.end();
  assert.equal(await watching.exited, 0);
  const heedless = run(t, [], { MILLRACE_PARENT_PIPE: "" });
  heedless.child.stdin.end();
  await heedless.ready();
  heedless.child.kill("SIGTERM");
  assert.equal(await heedless.exited, 0);
});

test("--check-config says 0 or 2 and starts nothing", async (t) => {
  const good = run(t, ["--check-config", "--config", configFile(t, { instance: "a" })]);
  assert.equal(await good.exited, 0);
  assert.equal(good.out(), "");
  const bad = run(t, ["--check-config", "--config", configFile(t, { colour: 1 })]);
  assert.equal(await bad.exited, 2);
  assert.match(
    bad.err(),
    /^probe: invalid_argument: read config .*: unknown key colour \(field: colour\)\. Remove/,
  );
});

test("its replica name is what the environment says, in its logs too", async (t) => {
  const config = configFile(t, { instance: "a" });
  const service = run(t, ["--config", config], { MILLRACE_INSTANCE: "millrace-probe-0" });
  await service.ready();
  assert.match(service.out(), /"instance":"millrace-probe-0"/);
  const bad = run(t, ["--check-config", "--config", config], { MILLRACE_INSTANCE: "Bad Name" });
  assert.equal(await bad.exited, 2);
  assert.match(bad.err(), /invalid_argument: read environment: MILLRACE_INSTANCE is no name: Bad Name/);
});

test("--print-schema prints the JSON schema of the settings", async (t) => {
  const service = run(t, ["--print-schema"]);
  assert.equal(await service.exited, 0);
  const schema = JSON.parse(service.out()) as {
    properties: Record<string, unknown>;
    additionalProperties: boolean;
  };
  assert.ok("fails" in schema.properties && "drainTimeoutMs" in schema.properties);
  assert.equal(schema.additionalProperties, false);
});

test("a port in use ends it with code 1, the setting and what to do", async (t) => {
  const first = run(t, []);
  await first.ready();
  const port = Number(/"http_port":(\d+)/.exec(first.out())?.[1]);
  const second = run(t, ["--config", configFile(t, { http: { port } })]);
  assert.equal(await second.exited, 1);
  assert.match(second.out(), new RegExp(`port ${port} is in use.*Stop what uses it or set another port`));
});

for (const [fails, said] of [
  ["build", /no broker/],
  ["later", /broker gone/],
  ["crash", /a mistake of ours/],
] as const) {
  test(`a failure (${fails}) ends it with code 1, and is logged`, async (t) => {
    const service = run(t, ["--config", configFile(t, { fails })]);
    assert.equal(await service.exited, 1);
    assert.match(service.out(), said);
  });
}

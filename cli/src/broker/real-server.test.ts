import assert from "node:assert/strict";
import { join } from "node:path";
import test from "node:test";
import { fileURLToPath } from "node:url";
import { freePort, isRunning, workbench } from "../supervisor/testing.js";
import type { ProgramSpec } from "../supervisor/program-spec.js";
import { obtainNatsServer } from "./obtain-server.js";
import { serverPin } from "./server-pin.js";
import { isAtLeast, serverVersion } from "./server-version.js";

const checkout = fileURLToPath(new URL("../../..", import.meta.url));

test("a real nats-server of the pinned version or newer is obtained and runs", async () => {
  const server = await obtainReal();
  assert.equal(await serverVersion(server.path, 20_000), server.version);
  assert.ok(isAtLeast(server.version, serverPin.version));
});

test("a real nats-server starts, meets a port in use with a clear error, and stops in order", async (t) => {
  const { path } = await obtainReal();
  const { folder, supervise, printed } = workbench(t);
  const port = await freePort();
  const spec = (name: string): ProgramSpec => ({
    name,
    command: path,
    args: ["--addr", "127.0.0.1", "--port", String(port), "--jetstream", "--store_dir", join(folder, name)],
    ready: { kind: "line", pattern: /Server is ready/ },
    guarded: true,
  });
  const first = supervise([spec("broker")]);
  await first.start();
  await assert.rejects(supervise([spec("second")]).start(), {
    code: "failed_precondition",
    message: `start second: port ${port} is in use by another process`,
  });
  const pid = first.status()[0]?.pid;
  assert.ok(isRunning(pid));
  await first.stop();
  assert.equal(isRunning(pid), false);
  assert.match(printed.filter((line) => line.startsWith("broker")).join("\n"), /Server Exiting/);
});

async function obtainReal() {
  const cacheDir = process.env.MILLRACE_CACHE_DIR ?? join(checkout, ".cache", "millrace");
  const { NATS_URL: _, ...env } = process.env;
  const lines: string[] = [];
  const server = await obtainNatsServer({ cacheDir, log: (line) => lines.push(line), env });
  assert.ok("path" in server, lines.join("\n"));
  return server;
}

import assert from "node:assert/strict";
import { join } from "node:path";
import test from "node:test";
import { fileURLToPath } from "node:url";
import { obtainNatsServer } from "./obtain-server.js";
import { serverPin } from "./server-pin.js";
import { isAtLeast, serverVersion } from "./server-version.js";

const checkout = fileURLToPath(new URL("../../..", import.meta.url));

test("a real nats-server of the pinned version or newer is obtained and runs", async () => {
  const cacheDir = process.env.MILLRACE_CACHE_DIR ?? join(checkout, ".cache", "millrace");
  const { NATS_URL: _, ...env } = process.env;
  const lines: string[] = [];
  const server = await obtainNatsServer({ cacheDir, log: (line) => lines.push(line), env });
  assert.ok("path" in server, lines.join("\n"));
  assert.equal(await serverVersion(server.path, 20_000), server.version);
  assert.ok(isAtLeast(server.version, serverPin.version));
});

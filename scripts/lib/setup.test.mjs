import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import { withLock } from "./lock.mjs";
import { checkNode } from "./setup.mjs";

test("an older Node is refused in a sentence that names both versions", () => {
  assert.throws(() => checkNode("18.20.4"), { message: /needs Node 20\.19 or newer; this is 18\.20\.4/ });
  assert.throws(() => checkNode("20.18.9"), { message: /20\.19/ });
  checkNode("20.19.0");
  checkNode("24.0.0");
});

test("two holders of one lock take turns", async (t) => {
  const path = lockPath(t);
  const order = /** @type {string[]} */ ([]);
  /** @param {string} name */
  const hold = (name) =>
    withLock(path, async () => {
      order.push(`${name} in`);
      await new Promise((resolve) => setImmediate(resolve));
      order.push(`${name} out`);
    });
  await Promise.all([hold("a"), hold("b")]);
  assert.deepEqual(order, ["a in", "a out", "b in", "b out"]);
  assert.equal(existsSync(path), false);
});

test("a lock whose process has ended is taken over", async (t) => {
  const path = lockPath(t);
  const child = spawn(process.execPath, ["-e", ""]);
  await once(child, "exit");
  writeFileSync(path, String(child.pid));
  assert.equal(await withLock(path, async () => "held"), "held");
});

test("a lock that nobody touched lately is taken over, whoever has its pid now", async (t) => {
  const path = lockPath(t);
  writeFileSync(path, "1");
  utimesSync(path, new Date(0), new Date(0));
  assert.equal(await withLock(path, async () => "held"), "held");
});

/** @param {import("node:test").TestContext} t */
function lockPath(t) {
  const folder = mkdtempSync(join(tmpdir(), "millrace-lock-"));
  t.after(() => rmSync(folder, { recursive: true }));
  return join(folder, "lock");
}

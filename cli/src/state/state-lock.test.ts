import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import { runningPid, writePidFile } from "./pid-file.js";
import { lockStateDir } from "./state-lock.js";

test("a second holder is refused with the pid of the first", (t) => {
  const folder = place(t);
  const lock = lockStateDir(folder);
  assert.throws(() => lockStateDir(folder), {
    code: "failed_precondition",
    message: `start: process ${process.pid} already runs on ${folder}`,
    remedy: /--state/,
  });
  lock.release();
  lockStateDir(folder).release();
  assert.deepEqual(readdirSync(folder), []);
});

test("the lock of a process that has ended is taken over", async (t) => {
  const folder = place(t);
  const child = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"]);
  await once(child, "spawn");
  writePidFile(join(folder, "lock"), child.pid ?? 0);
  assert.throws(() => lockStateDir(folder), { message: new RegExp(`process ${child.pid} already`) });
  child.kill("SIGKILL");
  await once(child, "exit");
  lockStateDir(folder).release();
});

test("a pid that a later process has got is not the holder", (t) => {
  const folder = place(t);
  const path = join(folder, "lock");
  writeFileSync(path, JSON.stringify({ pid: process.pid, mark: "another moment" }));
  assert.equal(runningPid(path), undefined);
  lockStateDir(folder).release();
});

test("a lock file that makes no sense is taken over", (t) => {
  const folder = place(t);
  writeFileSync(join(folder, "lock"), "{");
  lockStateDir(folder).release();
});

function place(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "millrace-state-"));
  t.after(() => rmSync(folder, { recursive: true }));
  return folder;
}

import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { runClient } from "./run-client.js";

const node = process.execPath;

test("the output of a client that succeeds is returned", async () => {
  const run = { command: node, args: ["-e", "console.log('fetched')"], idleMs: 10_000 };
  assert.equal((await runClient(run)).stdout, "fetched\n");
});

test("a client that is not installed is named", async () => {
  const run = { command: "millrace-no-such-client", args: [], idleMs: 10_000 };
  await assert.rejects(runClient(run), { code: "not_found", message: /millrace-no-such-client/ });
});

test("a client that fails is reported with its last line", async () => {
  const script = "console.error('one\\nno matching version'); process.exitCode = 3";
  const run = { command: node, args: ["-e", script], idleMs: 10_000 };
  await assert.rejects(runClient(run), { code: "unavailable", message: /code 3: no matching version/ });
});

test("a silent client is stopped together with its own children", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "millrace-client-"));
  t.after(() => rm(folder, { recursive: true }));
  const child = `${quote(node)} -e 'setInterval(() => {}, 1000)'`;
  const script = `trap '' TERM; ${child} & echo $! > ${quote(folder)}/pid; wait`;
  const run = { command: "/bin/sh", args: ["-c", script], idleMs: 300 };
  await assert.rejects(runClient(run), { code: "deadline_exceeded", message: /no sign of life/ });
  await gone(Number(await readFile(join(folder, "pid"), "utf8")));
});

test("a client that prints nothing but fills its folder is left alone", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "millrace-client-"));
  t.after(() => rm(folder, { recursive: true }));
  const script = `let n = 0; const fs = require("node:fs");
    const timer = setInterval(() => {
      fs.appendFileSync(process.argv[1], "x".repeat(100));
      if (++n === 30) { clearInterval(timer); console.log("done"); }
    }, 50)`;
  const args = ["-e", script, join(folder, "part")];
  const run = { command: node, args, idleMs: 1_000, watchDir: folder };
  assert.equal((await runClient(run)).stdout, "done\n");
});

test("an abort ends the client", async () => {
  const abort = new AbortController();
  const args = ["-e", "setInterval(() => {}, 1000)"];
  const running = runClient({ command: node, args, idleMs: 60_000, signal: abort.signal });
  abort.abort();
  await assert.rejects(running, { code: "canceled" });
});

function quote(path: string): string {
  return `'${path.replaceAll("'", "'\\''")}'`;
}

/** Resolves when the process has ended; the runner's own limit bounds the wait. */
async function gone(pid: number): Promise<void> {
  for (;;) {
    try {
      process.kill(pid, 0);
    } catch {
      return;
    }
    await sleep(10);
  }
}

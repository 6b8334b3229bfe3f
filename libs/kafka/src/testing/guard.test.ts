import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import test from "node:test";
import { eventually } from "@millrace/runtime/testing";

test("a guarded child ends with the process that started it, also when that is killed", async () => {
  const guarded = new URL("./guard.js", import.meta.url).href;
  const script = `
    import { spawn } from "node:child_process";
    import { guard } from ${JSON.stringify(guarded)};
    const child = spawn("sleep", ["600"]);
    guard(child);
    console.log(child.pid);
    setInterval(() => {}, 1000);
  `;
  const parent = spawn(process.execPath, ["--input-type=module", "-e", script]);
  const [printed] = (await once(parent.stdout, "data")) as [Buffer];
  const pid = Number(printed.toString());
  assert.ok(isAlive(pid));
  parent.kill("SIGKILL");
  await eventually(() => !isAlive(pid), { what: "the child has ended" });
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

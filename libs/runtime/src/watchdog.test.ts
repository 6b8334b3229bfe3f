import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";

const watchdog = JSON.stringify(new URL("./watchdog.js", import.meta.url).href);
// The thread does not keep a process alive, so that something else has to until it is up.
const start = `const { startWatchdog } = await import(${watchdog}); const hold = setInterval(() => {}, 100);
  await startWatchdog(1_000).watching; clearInterval(hold);`;

/** Runs a program with a watchdog of 1 s. Resolves with how it ended. */
async function ends(program: string, during?: (pid: number) => Promise<void>): Promise<unknown> {
  const child = spawn(process.execPath, ["--input-type=module", "-e", `${start} ${program}`], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  // Should the watchdog fail, the test does, and leaves nothing that runs for ever.
  const late = setTimeout(() => child.kill("SIGKILL"), 30_000).unref();
  const ended = once(child, "exit");
  await Promise.race([once(child.stdout, "data"), ended]);
  await during?.(child.pid ?? 0);
  const [code, signal] = await ended;
  clearTimeout(late);
  return child.killed ? "late" : (signal ?? code);
}

test("a process whose event loop stands still is ended", async () => {
  assert.equal(await ends(`console.log("up"); setTimeout(() => { for (;;); }, 10);`), "SIGKILL");
});

test("one that is busy but turns is left alone, and so is one that has nothing more to do", async () => {
  const busy = `console.log("up"); const end = performance.now() + 3_000;
    const turn = () => { for (const until = performance.now() + 200; performance.now() < until;);
      if (performance.now() < end) setTimeout(turn, 1); }; turn();`;
  assert.equal(await ends(busy), 0);
  assert.equal(await ends(`console.log("up");`), 0);
});

test("one that was stopped as a whole is not taken for one that hangs", async () => {
  const program = `console.log("up"); setTimeout(() => process.exit(7), 1_500);`;
  const pause = async (pid: number): Promise<void> => {
    process.kill(pid, "SIGSTOP");
    await new Promise((resolve) => setTimeout(resolve, 2_500));
    process.kill(pid, "SIGCONT");
  };
  assert.equal(await ends(program, pause), 7);
});

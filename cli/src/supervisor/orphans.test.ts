import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { runningPid, writePidFile } from "../state/pid-file.js";
import { deaf, isRunning, stranger, until, wellBehaved, workbench } from "./testing.js";

test("a supervisor that is killed leaves no program behind", async (t) => {
  const { folder, program } = workbench(t);
  const programs = [program("ours", wellBehaved), program("stranger", stranger, { guarded: true })];
  const main = join(folder, "main.mjs");
  writeFileSync(
    main,
    supervisorScript(
      folder,
      programs.map(({ ready: _ready, ...spec }) => spec),
    ),
  );
  const supervisor = spawn(process.execPath, [main], { stdio: "ignore" });
  const files = ["ours.pid", "stranger.pid", "stranger.guarded.pid"].map((name) => join(folder, "run", name));
  await until(() => existsSync(join(folder, "ready")));
  const pids = files.map(runningPid);
  assert.ok(pids.every(isRunning), pids.join());
  supervisor.kill("SIGKILL");
  await until(() => !pids.some(isRunning));
});

test("an uncaught error in the supervisor leaves no program behind", async (t) => {
  const { folder, program } = workbench(t);
  const { ready: _ready, ...spec } = program("deaf", deaf);
  const main = join(folder, "main.mjs");
  writeFileSync(
    main,
    `${supervisorScript(folder, [spec])} setTimeout(() => { throw new Error("ours"); }, 100);`,
  );
  const supervisor = spawn(process.execPath, [main], { stdio: "ignore" });
  await until(() => existsSync(join(folder, "ready")));
  const pid = runningPid(join(folder, "run", "deaf.pid"));
  if (supervisor.exitCode === null) await once(supervisor, "exit");
  await until(() => !isRunning(pid));
});

test("a guarded program is stopped in order, and its exit code is seen", async (t) => {
  const { folder, program, supervise, printed } = workbench(t);
  const supervisor = supervise([program("stranger", stranger, { guarded: true })]);
  await supervisor.start();
  const pid = runningPid(join(folder, "run", "stranger.guarded.pid"));
  assert.ok(isRunning(pid));
  await supervisor.stop();
  assert.deepEqual(printed, ["stranger: up", "stranger: down"]);
  assert.equal(isRunning(pid), false);
  const failing = program("failing", "process.exitCode = 7", { guarded: true });
  await assert.rejects(supervise([failing]).start(), { message: /ended with code 7/ });
});

test("what a killed run left over is ended before the next start", async (t) => {
  const { folder, program, supervise, logged } = workbench(t);
  const first = supervise([program("broker", deaf, { guarded: true })]);
  await first.start();
  const guarded = runningPid(join(folder, "run", "broker.guarded.pid"));
  // As after a crash of guard and supervisor: the program goes on, known only by its file.
  const orphan = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"], { stdio: "ignore" });
  t.after(() => orphan.kill("SIGKILL"));
  first.kill();
  await until(() => !isRunning(guarded));

  writePidFile(join(folder, "run", "broker.guarded.pid"), orphan.pid ?? 0);
  const second = supervise([program("broker", stranger, { guarded: true })]);
  await second.start();
  assert.equal(isRunning(orphan.pid), false);
  assert.match(logged.join("\n"), new RegExp(`process ${orphan.pid} was left over from an earlier run`));
});

function supervisorScript(folder: string, specs: object[]): string {
  return `
    import { writeFileSync } from "node:fs";
    import { supervise } from ${JSON.stringify(new URL("./supervise.js", import.meta.url).href)};
    const ready = { kind: "line", pattern: /^up/ };
    const specs = ${JSON.stringify(specs)}.map((spec) => ({ ...spec, ready }));
    const supervisor = supervise({
      programs: specs,
      env: process.env,
      runDir: ${JSON.stringify(join(folder, "run"))},
      onLine: () => {},
      log: () => {},
      clock: {
        monotonic: () => performance.now(),
        sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
      },
      random: Math.random,
    });
    await supervisor.start();
    writeFileSync(${JSON.stringify(join(folder, "ready"))}, "");`;
}

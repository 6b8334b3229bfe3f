/**
 * The process between the supervisor and a program that is not ours: `guard.js <pid file> <stop signal>
 * <grace ms> <command> [argument…]`. It runs the command, notes its pid, passes stop signals on, ends with
 * its exit code, and stops it when its own stdin ends, which the kernel sees to even if the supervisor is
 * killed.
 */
import { spawn } from "node:child_process";
import { constants } from "node:os";
import { removePidFile, writePidFile } from "../state/pid-file.js";

const [pidFile = "", stopSignal = "SIGTERM", graceMs = "0", command = "", ...args] = process.argv.slice(2);

const child = spawn(command, args, { stdio: ["ignore", "inherit", "inherit"] });

const stop = () => {
  child.kill(stopSignal as NodeJS.Signals);
  setTimeout(() => child.kill("SIGKILL"), Number(graceMs)).unref();
};

child.once("error", (error) => {
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 127;
  process.stdin.destroy();
});
child.once("spawn", () => writePidFile(pidFile, child.pid ?? 0));
child.once("exit", (code, signal) => {
  removePidFile(pidFile);
  process.exit(code ?? 128 + (signal === null ? 0 : constants.signals[signal]));
});

for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.on(signal, stop);
process.stdin.on("end", stop).on("error", stop).resume();

import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { eachLine } from "../logs/lines.js";
import { type Exit, type ProgramSpec, stopSignalDefault, stopTimeoutMsDefault } from "./program-spec.js";

export type OutputStream = "stdout" | "stderr";

export interface ChildOptions {
  env: NodeJS.ProcessEnv;
  /** Where a guard notes the pid of what it runs. */
  guardedPidFile: string;
  onLine: (line: string, from: OutputStream) => void;
}

/** One run of a program. */
export interface Child {
  pid: number | undefined;
  /** Never rejects; comes after the last line. A command that cannot be run ends with code 127. */
  exited: Promise<Exit>;
  lastLines: () => string[];
  signal: (signal: NodeJS.Signals) => void;
  /** SIGKILL to the program and to all that it started. */
  kill: () => void;
}

const lastLinesMax = 20;
/** How long the last lines may take after the exit, if something else holds the pipe. */
const drainMs = 1_000;

/**
 * Starts a program in a process group of its own: a Ctrl-C in the terminal reaches only us, and we stop the
 * programs in order. Its stdin is a pipe whose end tells it that we are gone.
 */
export function startChild(spec: ProgramSpec, options: ChildOptions): Child {
  const { command, args } = spec.guarded === true ? guardedCommand(spec, options) : spec;
  const lines: string[] = [];
  const keep = (line: string, from: OutputStream) => {
    lines.push(line);
    if (lines.length > lastLinesMax) lines.shift();
    options.onLine(line, from);
  };
  const child = spawn(command, args, {
    cwd: spec.cwd,
    env: { ...options.env, ...spec.env, MILLRACE_PARENT_PIPE: "1" },
    stdio: ["pipe", "pipe", "pipe"],
    detached: true,
  });
  // Written by nobody; it breaks when the program closes it, which is its right.
  child.stdin.on("error", () => {});
  eachLine(child.stdout, (line) => keep(line, "stdout"));
  eachLine(child.stderr, (line) => keep(line, "stderr"));
  const signal = (name: NodeJS.Signals) => void child.kill(name);
  const kill = () => killGroup(child.pid);
  const exited = new Promise<Exit>((resolve) => {
    child.once("error", (error) => {
      keep(error.message, "stderr");
      resolve({ code: 127, signal: null });
    });
    child.once("exit", (code, by) => {
      const end = () => resolve({ code, signal: by });
      child.once("close", end);
      setTimeout(end, drainMs).unref();
      // What it started and left behind goes with it.
      kill();
    });
  });
  return { pid: child.pid, exited, lastLines: () => [...lines], signal, kill };
}

function guardedCommand(spec: ProgramSpec, options: ChildOptions): { command: string; args: string[] } {
  const guard = fileURLToPath(new URL("./guard.js", import.meta.url));
  const graceMs = String(spec.stopTimeoutMs ?? stopTimeoutMsDefault);
  const own = [guard, options.guardedPidFile, spec.stopSignal ?? stopSignalDefault, graceMs];
  return { command: process.execPath, args: [...own, spec.command, ...spec.args] };
}

function killGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // Nothing of the group is left.
  }
}

import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { processMark } from "./process-mark.js";

const pollMs = 25;

/** Notes a process, so that a later run can end it if it was left over. */
export function writePidFile(path: string, pid: number): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, JSON.stringify({ pid, mark: processMark(pid) }));
}

export function removePidFile(path: string): void {
  rmSync(path, { force: true });
}

/** The pid in the file if that very process still runs. */
export function runningPid(path: string): number | undefined {
  try {
    const note: unknown = JSON.parse(readFileSync(path, "utf8"));
    if (typeof note !== "object" || note === null) return undefined;
    const { pid, mark } = note as { pid?: unknown; mark?: unknown };
    if (typeof pid !== "number" || typeof mark !== "string") return undefined;
    return processMark(pid) === mark ? pid : undefined;
  } catch {
    return undefined;
  }
}

/** Ends the noted process, orderly within `graceMs`, else with SIGKILL. Returns its pid if there was one. */
export async function endLeftOver(path: string, graceMs: number): Promise<number | undefined> {
  const pid = runningPid(path);
  if (pid !== undefined) {
    send(pid, "SIGTERM");
    for (let waitedMs = 0; runningPid(path) === pid; waitedMs += pollMs) {
      if (waitedMs >= graceMs) send(pid, "SIGKILL");
      await sleep(pollMs);
    }
  }
  removePidFile(path);
  return pid;
}

function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It has just ended by itself.
  }
}

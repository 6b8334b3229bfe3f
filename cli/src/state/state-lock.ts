import { existsSync, linkSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { CodedError } from "@millrace/errors";
import { runningPid, writePidFile } from "./pid-file.js";

export interface StateLock {
  release: () => void;
}

/**
 * Tries before it says that others keep coming first; one is enough but for a race between several starts.
 */
const triesMax = 10;

/**
 * Makes this process the only one that works on `stateDir`. `failed_precondition` names the process that does
 * so already. The lock of a process that has ended is taken over, whatever has its pid now.
 */
export function lockStateDir(stateDir: string): StateLock {
  makeFolder(stateDir);
  const path = join(stateDir, "lock");
  const own = `${path}.${process.pid}`;
  writePidFile(own, process.pid);
  try {
    for (let tries = 0; tries < triesMax; tries++) {
      if (tryLink(own, path)) return { release: () => releaseLock(path) };
      const holder = runningPid(path);
      if (holder !== undefined) throw held(stateDir, holder);
      setAside(path, own);
    }
    throw new CodedError("aborted", `lock ${stateDir}: other processes take it in turns`);
  } finally {
    rmSync(own, { force: true });
  }
}

/**
 * Level by level: asked to do it in one go, Node 20 tries for ever where a level can't be made in a parent
 * that is there, such as /proc.
 */
function makeFolder(path: string): void {
  if (existsSync(path)) return;
  makeFolder(dirname(path));
  try {
    mkdirSync(path);
  } catch (caught) {
    if ((caught as NodeJS.ErrnoException).code === "EEXIST") return;
    throw new CodedError(
      "failed_precondition",
      `make the state directory ${path}: ${(caught as Error).message}`,
      {
        field: "--state-dir",
        remedy: "Name a directory that this user may write.",
        cause: caught,
      },
    );
  }
}

/** Whole from the first moment: a link appears with its content, or not at all. */
function tryLink(own: string, path: string): boolean {
  try {
    linkSync(own, path);
    return true;
  } catch (caught) {
    if ((caught as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw CodedError.from(caught, `lock ${path}`);
  }
}

/** Moves a left-over lock away. If a new holder came meanwhile, it is his that was moved, and goes back. */
function setAside(path: string, own: string): void {
  const aside = `${own}.old`;
  try {
    renameSync(path, aside);
  } catch {
    return;
  }
  if (runningPid(aside) !== undefined) tryLink(aside, path);
  rmSync(aside, { force: true });
}

function releaseLock(path: string): void {
  if (runningPid(path) === process.pid) rmSync(path, { force: true });
}

function held(stateDir: string, holder: number): CodedError {
  return new CodedError("failed_precondition", `start: process ${holder} already runs on ${stateDir}`, {
    field: "--state-dir",
    remedy:
      `Stop it first (Ctrl-C in its terminal, or kill ${holder}), ` +
      "or choose another folder with --state-dir.",
  });
}

/**
 * One program kept running:
 *
 *     idle ─start─► starting ─ready─► running ─exit─► waiting ─► starting …
 *                      │                 │                │
 *                      └── fails first ──┴─── stop ───────┴──► stopped
 *
 * Too many restarts: given up → stopped.
 */
import { join } from "node:path";
import { CodedError } from "@millrace/errors";
import { type Child, type OutputStream, startChild } from "./child.js";
import { endLeftOver, removePidFile, writePidFile } from "../state/pid-file.js";
import {
  type ProgramSpec,
  describeExit,
  readyTimeoutMsDefault,
  stopSignalDefault,
  stopTimeoutMsDefault,
} from "./program-spec.js";
import { describeReadiness, isTaken, untilServing } from "./readiness.js";
import { type RestartPolicy, type Restarts, restartSchedule } from "./restarts.js";
import { portError, startError } from "./start-error.js";

export type ProgramState = "idle" | "starting" | "running" | "waiting" | "stopped";

export interface SupervisorClock {
  /** Milliseconds from any fixed moment; never goes back. */
  monotonic: () => number;
  /** Resolves after `ms`, or at once when `signal` fires. */
  sleep: (ms: number, signal?: AbortSignal) => Promise<void>;
}

export interface ProgramOptions {
  env: NodeJS.ProcessEnv;
  /** Folder of the pid files by which a later run ends what a killed one left over. */
  runDir: string;
  onLine: (program: string, line: string, from: OutputStream) => void;
  log: (level: "info" | "warn" | "error", message: string) => void;
  clock: SupervisorClock;
  random: () => number;
  restart: RestartPolicy;
  onGivenUp: (error: CodedError) => void;
}

export interface ProgramStatus {
  name: string;
  state: ProgramState;
  pid: number | undefined;
  restarts: number;
}

export interface Program {
  start: () => Promise<void>;
  stop: () => Promise<void>;
  kill: () => void;
  status: () => ProgramStatus;
}

/** What is known of a program between its runs. */
interface Kept {
  spec: ProgramSpec;
  options: ProgramOptions;
  restarts: Restarts;
  /** Fires once, when the program is to stop for good. */
  stopping: AbortController;
  pidFile: string;
  guardedPidFile: string;
  state: ProgramState;
  child: Child | undefined;
  startedMs: number;
}

export function keepProgram(spec: ProgramSpec, options: ProgramOptions): Program {
  const kept: Kept = {
    spec,
    options,
    restarts: restartSchedule(options.restart, options.random),
    stopping: new AbortController(),
    pidFile: join(options.runDir, `${spec.name}.pid`),
    guardedPidFile: join(options.runDir, `${spec.name}.guarded.pid`),
    state: "idle",
    child: undefined,
    startedMs: 0,
  };
  return {
    start: () => start(kept),
    stop: () => stop(kept),
    kill: () => {
      kept.stopping.abort();
      kept.child?.kill();
      kept.state = "stopped";
    },
    status: () => {
      const { state, child, restarts } = kept;
      return { name: spec.name, state, pid: child?.pid, restarts: restarts.count() };
    },
  };
}

async function start(kept: Kept): Promise<void> {
  const { spec } = kept;
  await endLeftOvers(kept);
  const port = await isTaken(spec.ready);
  if (port !== undefined) throw portError(spec.name, port);
  refuseWhenStopping(kept);
  const wrong = await launch(kept);
  refuseWhenStopping(kept);
  if (wrong !== undefined) throw startError(spec.name, wrong, kept.child?.lastLines() ?? []);
  void watch(kept);
}

async function stop(kept: Kept): Promise<void> {
  kept.stopping.abort();
  if (kept.child !== undefined) await endChild(kept.spec, kept.child, kept.options);
  removePidFile(kept.pidFile);
  kept.state = "stopped";
}

/** One run up to its readiness; what went wrong, or undefined when it is up. */
async function launch(kept: Kept): Promise<string | undefined> {
  const { spec, options, stopping } = kept;
  kept.state = "starting";
  kept.startedMs = options.clock.monotonic();
  const lineSeen = new AbortController();
  const child = startChild(spec, {
    env: options.env,
    guardedPidFile: kept.guardedPidFile,
    onLine: (line, from) => {
      options.onLine(spec.name, line, from);
      if (spec.ready.kind === "line" && spec.ready.pattern.test(line)) lineSeen.abort();
    },
  });
  kept.child = child;
  if (child.pid !== undefined) writePidFile(kept.pidFile, child.pid);
  const wrong = await untilReady(spec, child, { lineSeen: lineSeen.signal, stopping: stopping.signal });
  if (wrong === undefined) kept.state = "running";
  return wrong;
}

function refuseWhenStopping({ spec, stopping }: Kept): void {
  if (stopping.signal.aborted) throw new CodedError("canceled", `start ${spec.name}: it is being stopped`);
}

/** Follows a running program through its ends until it is stopped or given up. */
async function watch(kept: Kept): Promise<void> {
  for (let isAlive = true; isAlive && kept.child !== undefined; ) {
    const exit = await kept.child.exited;
    removePidFile(kept.pidFile);
    if (kept.stopping.signal.aborted) return;
    isAlive = await revive(kept, describeExit(exit));
  }
}

/**
 * Waits as the schedule says and starts again until it runs; false when it is stopped or given up meanwhile.
 */
async function revive(kept: Kept, why: string): Promise<boolean> {
  const { spec, options, stopping } = kept;
  const endedMs = options.clock.monotonic();
  const waitMs = kept.restarts.next(endedMs, endedMs - kept.startedMs);
  if (waitMs === undefined) {
    kept.state = "stopped";
    options.onGivenUp(givenUp(kept, why));
    return false;
  }
  options.log("warn", `${spec.name}: ${why}; it is started again in ${(waitMs / 1000).toFixed(1)} s`);
  kept.state = "waiting";
  await options.clock.sleep(waitMs, stopping.signal);
  if (stopping.signal.aborted) return false;
  const wrong = await launch(kept);
  if (stopping.signal.aborted) return false;
  if (wrong !== undefined) return revive(kept, wrong);
  options.log("info", `${spec.name}: runs again`);
  return true;
}

/**
 * Resolves with undefined when the program is up; with the reason when it ended first or was killed as too
 * slow.
 */
async function untilReady(
  spec: ProgramSpec,
  child: Child,
  signals: { lineSeen: AbortSignal; stopping: AbortSignal },
): Promise<string | undefined> {
  const over = new AbortController();
  const timeoutMs = spec.readyTimeoutMs ?? readyTimeoutMsDefault;
  const timer = setTimeout(() => over.abort(), timeoutMs);
  try {
    const serving = untilServing(
      spec.ready,
      AbortSignal.any([over.signal, signals.lineSeen, signals.stopping]),
    );
    const exit = await Promise.race([serving.then(() => undefined), child.exited]);
    if (exit !== undefined) return `${describeExit(exit)} before it was ready`;
    if (!over.signal.aborted) return undefined;
    child.kill();
    await child.exited;
    return `not ready after ${timeoutMs / 1000} s: ${describeReadiness(spec.ready)}`;
  } finally {
    clearTimeout(timer);
    over.abort();
  }
}

async function endChild(spec: ProgramSpec, child: Child, { log, clock }: ProgramOptions): Promise<void> {
  const timeoutMs = spec.stopTimeoutMs ?? stopTimeoutMsDefault;
  const ended = new AbortController();
  void child.exited.then(() => ended.abort());
  child.signal(spec.stopSignal ?? stopSignalDefault);
  await Promise.race([child.exited, clock.sleep(timeoutMs, ended.signal)]);
  if (!ended.signal.aborted) {
    log("warn", `${spec.name}: did not stop within ${timeoutMs / 1000} s and is killed`);
    child.kill();
  }
  await child.exited;
}

async function endLeftOvers({ spec, options, pidFile, guardedPidFile }: Kept): Promise<void> {
  for (const file of [pidFile, guardedPidFile]) {
    const pid = await endLeftOver(file, spec.stopTimeoutMs ?? stopTimeoutMsDefault);
    if (pid === undefined) continue;
    options.log("warn", `${spec.name}: process ${pid} was left over from an earlier run and is ended`);
  }
}

function givenUp({ spec, options, child }: Kept, why: string): CodedError {
  const { restartsMax, windowMs } = options.restart;
  const often = `it ended more than ${restartsMax} times within ${windowMs / 1000} s and is given up; ${why}`;
  return startError(spec.name, often, child?.lastLines() ?? []);
}

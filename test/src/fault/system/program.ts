import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { get } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";

export interface ProgramSpec {
  name: string;
  command: string;
  args: readonly string[];
  /** Answers 200 when it is ready. */
  readyUrl: string;
  logFile: string;
}

/** How a process ended. */
export interface ProgramExit {
  name: string;
  code: number | null;
  signal: NodeJS.Signals | null;
  /** From the signal that asked for it; 0 where nobody asked. */
  tookMs: number;
}

/**
 * One program of the system in its own process, started again whenever it ends unasked, as its supervisor
 * does. Its restarts are neither counted nor slowed down, so a fault may come as often as a test likes.
 */
export interface Program {
  readonly name: string;
  pid(): number;
  /** Resolves when it answers that it is ready. */
  start(env?: NodeJS.ProcessEnv): Promise<void>;
  /** Sends the signal and waits for its end; it stays down until `start`. */
  end(signal: NodeJS.Signals): Promise<ProgramExit>;
  /** SIGKILL now, and started anew: resolves when it is ready again. */
  crash(): Promise<void>;
  /** To the process as it is: SIGSTOP, SIGCONT. */
  signal(signal: NodeJS.Signals): void;
  isReady(): Promise<boolean>;
  /** Ends that nobody asked for, in order. */
  unasked(): readonly ProgramExit[];
}

/** An index is rebuilt at start: 30 s for 100,000 vectors, longer where others work too. */
const readyMs = 120_000;
const pollMs = 25;
const restartMs = 250;
const probeTimeoutMs = 1_000;

const running = new Set<ChildProcess>();
const killAll = (): void => {
  for (const child of running) child.kill("SIGKILL");
};
// A run that is given up leaves nothing behind, stopped processes included.
process.once("exit", killAll);
process.once("SIGTERM", () => process.exit(1));

export function defineProgram(spec: ProgramSpec): Program {
  const { name } = spec;
  const unasked: ProgramExit[] = [];
  let env: NodeJS.ProcessEnv = {};
  let child: ChildProcess | undefined;
  let exited: Promise<ProgramExit> | undefined;
  let asked: { at: number } | undefined = { at: 0 };

  const launch = (): void => {
    asked = undefined;
    const { made, ended } = spawnProgram(spec, env);
    child = made;
    exited = ended.then(({ code, signal }) => {
      const tookMs = asked === undefined ? 0 : performance.now() - asked.at;
      const exit = { name, code, signal, tookMs };
      if (asked === undefined) {
        unasked.push(exit);
        setTimeout(() => {
          if (asked === undefined) launch();
        }, restartMs).unref();
      }
      return exit;
    });
  };
  const isReady = (): Promise<boolean> => answersOk(spec.readyUrl);
  const start = async (given?: NodeJS.ProcessEnv): Promise<void> => {
    env = given ?? env;
    launch();
    const deadline = performance.now() + readyMs;
    while (!(await isReady())) {
      if (performance.now() > deadline) throw new Error(`${name} is not ready after ${readyMs / 1_000} s`);
      await sleep(pollMs);
    }
  };
  const end = async (signal: NodeJS.Signals): Promise<ProgramExit> => {
    const ended = exited;
    if (child === undefined || ended === undefined) throw new Error(`${name} does not run`);
    asked = { at: performance.now() };
    child.kill(signal);
    return ended;
  };
  return {
    name,
    pid: () => child?.pid ?? 0,
    start,
    end,
    crash: async () => {
      await end("SIGKILL");
      await start();
    },
    signal: (signal) => void child?.kill(signal),
    isReady,
    unasked: () => unasked,
  };
}

interface Spawned {
  made: ChildProcess;
  ended: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
}

function spawnProgram({ command, args, logFile }: ProgramSpec, env: NodeJS.ProcessEnv): Spawned {
  const log = openSync(logFile, "a");
  const made = spawn(command, args, {
    // Ours stop when their standard input ends, so none outlives a run that was killed.
    env: { ...process.env, ...env, MILLRACE_PARENT_PIPE: "1" },
    stdio: ["pipe", log, log],
  });
  closeSync(log);
  made.stdin?.on("error", () => undefined);
  running.add(made);
  const ended = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve) => {
    made.once("error", () => resolve({ code: 127, signal: null }));
    made.once("exit", (code, signal) => {
      running.delete(made);
      resolve({ code, signal });
    });
  });
  return { made, ended };
}

export async function answersOk(url: string): Promise<boolean> {
  return (await statusOf(url)) === 200;
}

/** The HTTP status; 0 where nobody answers within a second. */
export function statusOf(url: string): Promise<number> {
  return new Promise((resolve) => {
    // A connection of its own: one that was kept from before a kill or a stop may answer late or never.
    const request = get(url, { agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    });
    setTimeout(() => request.destroy(new Error("no answer in time")), probeTimeoutMs).unref();
    request.once("error", () => resolve(0));
  });
}

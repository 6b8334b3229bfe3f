import type { CodedError } from "@millrace/errors";
import { type Program, type ProgramOptions, type ProgramStatus, keepProgram } from "./program.js";
import type { ProgramSpec } from "./program-spec.js";
import { type RestartPolicy, restartPolicyDefault } from "./restarts.js";

export interface SuperviseOptions extends Omit<ProgramOptions, "restart" | "onGivenUp"> {
  /** Started in this order and stopped in reverse; the programs of an inner list start and stop together. */
  programs: (ProgramSpec | ProgramSpec[])[];
  restart?: RestartPolicy;
}

export interface Supervisor {
  /**
   * Resolves when every program is ready. If one fails, those before it are stopped and its error is thrown.
   */
  start: () => Promise<void>;
  /** Resolves after `stop` or `kill`; rejects when a program was given up, after the others were stopped. */
  ended: Promise<void>;
  /**
   * Orderly, in reverse, each program within its own time; may be called at any moment and more than once.
   */
  stop: () => Promise<void>;
  /** At once, with SIGKILL to each program and all that it started. */
  kill: () => void;
  status: () => ProgramStatus[];
}

/** Keeps a set of programs running, as children that do not outlive this process. */
export function supervise(options: SuperviseOptions): Supervisor {
  const ended = settlement();
  let stopped: Promise<void> | undefined;
  const onGivenUp = (error: CodedError) => {
    options.log("error", error.message);
    void stop().then(() => ended.reject(error));
  };
  const own: ProgramOptions = { ...options, restart: options.restart ?? restartPolicyDefault, onGivenUp };
  const groups = options.programs.map((group) => [group].flat().map((spec) => keepProgram(spec, own)));
  const all = groups.flat();

  const killAll = () => {
    for (const program of all) program.kill();
  };
  const stop = () => {
    stopped ??= stopInReverse(groups).finally(() => process.off("exit", killAll));
    return stopped;
  };
  return {
    ended: ended.promise,
    start: async () => {
      process.on("exit", killAll);
      try {
        // After a stop each start refuses by itself.
        for (const group of groups) await Promise.all(group.map((program) => program.start()));
      } catch (caught) {
        await stop();
        throw caught;
      }
    },
    stop: () => stop().then(ended.resolve),
    kill: () => {
      killAll();
      process.off("exit", killAll);
      ended.resolve();
    },
    status: () => all.map((program) => program.status()),
  };
}

async function stopInReverse(groups: Program[][]): Promise<void> {
  for (const group of groups.toReversed()) await Promise.all(group.map((program) => program.stop()));
}

function settlement() {
  let resolve: () => void = () => {};
  let reject: (error: CodedError) => void = () => {};
  const promise = new Promise<void>((onResolve, onReject) => {
    resolve = onResolve;
    reject = onReject;
  });
  // Whoever never waits for the end must not be ended by its rejection.
  promise.catch(() => {});
  return { promise, resolve, reject };
}

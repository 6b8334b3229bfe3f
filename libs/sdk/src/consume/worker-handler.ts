import { Worker } from "node:worker_threads";
import type { Environment } from "../rpc/environment.js";
import { checkCount, checkKeys } from "../units/checks.js";
import { type Duration, parseDuration } from "../units/duration.js";
import type { HandledMessage } from "./handled-message.js";
import { PermanentError, RetryLater } from "./outcome.js";

export interface WorkerOptions {
  /** A call that takes longer is ended with its thread, and its message comes again. Default `"30s"`. */
  timeLimit?: Duration;
  /** Threads at most, 1 to 64. Default: the handlers' parallelism. */
  workers?: number;
}

/** Calls of a module's `handle` in threads of their own. */
export interface WorkerHandler {
  handle(message: HandledMessage): Promise<void>;
  stop(): Promise<void>;
}

/** What a thread answers with. */
export type WorkerAnswer =
  | { ok: true }
  | { ok: false; name: string; message: string; delayMs: number | undefined };

interface WorkerParts {
  environment: Environment;
  parallelism: number;
}

/** A thread works on one message at a time; one that hangs is ended, and another takes its place. */
export function workerHandler(
  { environment, parallelism }: WorkerParts,
  module: URL,
  given: WorkerOptions,
): WorkerHandler {
  checkKeys(given, ["timeLimit", "workers"], "");
  const timeLimitMs = parseDuration(given.timeLimit ?? "30s", "timeLimit");
  const workersMax = given.workers ?? Math.min(64, parallelism);
  checkCount(workersMax, "workers", [1, 64]);
  const idle: Worker[] = [];
  const all = new Set<Worker>();
  const waiting: ((worker: Worker) => void)[] = [];
  const start = (): Worker => {
    const worker = new Worker(new URL("./worker-main.js", import.meta.url), {
      workerData: { module: module.href },
    });
    worker.unref();
    // What it dies of is told by the call that it had.
    worker.on("error", () => undefined);
    all.add(worker);
    return worker;
  };
  const acquire = async (): Promise<Worker> => {
    const free = idle.pop();
    if (free !== undefined) return free;
    if (all.size < workersMax) return start();
    return new Promise((resolve) => waiting.push(resolve));
  };
  const pass = (worker: Worker): void => {
    const next = waiting.shift();
    if (next === undefined) idle.push(worker);
    else next(worker);
  };
  const end = async (worker: Worker): Promise<void> => {
    all.delete(worker);
    await worker.terminate();
    const next = waiting.shift();
    if (next !== undefined) next(start());
  };
  return {
    handle: async (message) => {
      const worker = await acquire();
      const over = new AbortController();
      // A signal can't be sent; the thread is ended instead.
      const { signal: _, ...sent } = message;
      const answered = answerOf(worker, sent);
      const late = environment.sleep(timeLimitMs, over.signal).then((): undefined => undefined);
      const answer = await Promise.race([answered, late]);
      over.abort();
      if (answer === undefined || answer === "gone") {
        await end(worker);
        const what = answer === "gone" ? "its thread ended" : `it took longer than ${timeLimitMs} ms`;
        throw Object.assign(new Error(`handler of ${message.id}: ${what}`), {
          name: answer === "gone" ? "ThreadEnded" : "TimeLimitPassed",
        });
      }
      pass(worker);
      if (!answer.ok) throw errorOf(answer);
    },
    stop: async () => {
      await Promise.all([...all].map((worker) => worker.terminate()));
      all.clear();
    },
  };
}

function answerOf(worker: Worker, message: Omit<HandledMessage, "signal">): Promise<WorkerAnswer | "gone"> {
  return new Promise((resolve) => {
    const gone = (): void => settle("gone");
    const settle = (answer: WorkerAnswer | "gone"): void => {
      worker.off("message", settle).off("error", gone).off("exit", gone);
      worker.unref();
      resolve(answer);
    };
    // It keeps the process as long as it works.
    worker.ref();
    worker.on("message", settle).on("error", gone).on("exit", gone);
    worker.postMessage(message);
  });
}

function errorOf({ name, message, delayMs }: Extract<WorkerAnswer, { ok: false }>): Error {
  if (name === "PermanentError") return new PermanentError(message);
  if (name === "RetryLater") return new RetryLater({ delay: delayMs ?? 1_000 });
  return Object.assign(new Error(message), { name });
}

/**
 * Redaction off the event loop: threads that are started as they are needed and serve one job at a time.
 *
 *   redact(job) ─► waiting ─► a thread is idle, and the stream has fewer at work than it may ─► answer
 *
 *   thread:  idle ◄─► working ──too long, or it ended──► gone; its job fails, the next one starts anew
 *
 * Bodies lie in shared memory on both ways, so no job costs a copy between threads.
 */
import { Worker } from "node:worker_threads";
import { CodedError } from "@millrace/errors";
import type { FromFilterWorker, Redacted, RedactJob } from "./filter-worker.js";

export interface FilterPoolOptions {
  threadsMax: number;
  /** A job that takes longer ends its thread: a bulk body takes milliseconds. Default 30 s. */
  jobMsMax?: number;
  /** Called when a thread ended by itself or was ended. */
  onThreadLost?: (error: CodedError) => void;
  /** How a thread starts; tests put their hands on it here. */
  spawn?: () => Worker;
}

export interface FilterPool {
  /**
   * Redacts a body for a stream that may use `threads` at once. Errors: `internal` where its thread was lost.
   */
  redact(stream: string, threads: number, job: Omit<RedactJob, "id">): Promise<Redacted>;
  /** Jobs at work now, and at most since the start. */
  atWork(): { now: number; most: number };
  close(): Promise<void>;
}

interface Waiting {
  stream: string;
  threads: number;
  job: Omit<RedactJob, "id">;
  resolve(redacted: Redacted): void;
  reject(error: CodedError): void;
}

interface Thread {
  worker: Worker;
  work: (Waiting & { id: number; timer: NodeJS.Timeout }) | undefined;
}

const jobMsDefault = 30_000;

function spawnThread(): Worker {
  return new Worker(new URL("./filter-worker.js", import.meta.url), { name: "filter" });
}

export function createFilterPool(options: FilterPoolOptions): FilterPool {
  const { threadsMax, jobMsMax = jobMsDefault, spawn = spawnThread } = options;
  const threads = new Set<Thread>();
  const waiting: Waiting[] = [];
  const atWork = new Map<string, number>();
  let nextId = 1;
  let now = 0;
  let most = 0;
  let closed = false;

  const count = (stream: string, change: 1 | -1): void => {
    const left = (atWork.get(stream) ?? 0) + change;
    if (left === 0) atWork.delete(stream);
    else atWork.set(stream, left);
    now += change;
    most = Math.max(most, now);
  };

  const finish = (thread: Thread): Waiting | undefined => {
    const { work } = thread;
    if (work === undefined) return undefined;
    thread.work = undefined;
    clearTimeout(work.timer);
    count(work.stream, -1);
    return work;
  };

  const lose = (thread: Thread, why: string): void => {
    if (!threads.delete(thread)) return;
    void thread.worker.terminate();
    const error = new CodedError("internal", `redact: ${why}`);
    finish(thread)?.reject(error);
    if (!closed) options.onThreadLost?.(error);
    grant();
  };

  const start = (): Thread => {
    const thread: Thread = { worker: spawn(), work: undefined };
    threads.add(thread);
    thread.worker.on("message", (answer: FromFilterWorker) => {
      if (thread.work?.id !== answer.id) return;
      const done = finish(thread);
      if (answer.type === "redacted") done?.resolve(answer.redacted);
      else done?.reject(new CodedError(answer.code, answer.message));
      grant();
    });
    thread.worker.on("error", (cause) => lose(thread, `its thread failed (${cause.name})`));
    thread.worker.on("exit", (code) => lose(thread, `its thread ended with code ${code}`));
    return thread;
  };

  const idleThread = (): Thread | undefined => {
    for (const thread of threads) if (thread.work === undefined) return thread;
    return threads.size < threadsMax ? start() : undefined;
  };

  /** The oldest job whose stream may have one more at work. */
  const grant = (): void => {
    for (;;) {
      const at = waiting.findIndex(({ stream, threads: may }) => (atWork.get(stream) ?? 0) < may);
      const thread = at < 0 || closed ? undefined : idleThread();
      if (thread === undefined) return;
      const [next] = waiting.splice(at, 1);
      if (next === undefined) return;
      const id = nextId++;
      const timer = setTimeout(() => lose(thread, `it took longer than ${jobMsMax} ms`), jobMsMax);
      thread.work = { ...next, id, timer };
      count(next.stream, 1);
      thread.worker.postMessage({ ...next.job, id } satisfies RedactJob);
    }
  };

  return {
    redact: (stream, may, job) =>
      new Promise((resolve, reject) => {
        if (closed) return reject(new CodedError("unavailable", "redact: the filter is closing"));
        waiting.push({ stream, threads: may, job, resolve, reject });
        grant();
      }),
    atWork: () => ({ now, most }),
    close: async () => {
      closed = true;
      const error = new CodedError("unavailable", "redact: the filter is closing");
      for (const { reject } of waiting.splice(0)) reject(error);
      await Promise.all([...threads].map(({ worker }) => worker.terminate()));
    },
  };
}

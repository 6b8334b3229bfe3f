/**
 * One worker thread for images, fed one by one:
 *
 *   none ──first image──► at work ──exit by itself──► none: the image in work is refused, the others wait
 *                                                     for another one
 *
 * It is made when the first image comes, and its models are loaded then: who sends texts only pays nothing.
 */
import { Worker } from "node:worker_threads";
import { CodedError } from "@millrace/errors";
import type { ImageModelsLocation } from "./image-entry.js";
import type { FromImageWorker, LookJob, Refused, Seen, ToImageWorker } from "./image-worker.js";

export interface ImageToLookAt {
  image: Uint8Array;
  objects: boolean;
  scene: boolean;
  hasFace: boolean;
}

export interface ImagePool {
  /**
   * @throws CodedError invalid_argument (no sound image), unavailable (a model can't be had, scope `stream`:
   * only who asks for it waits; or closed), internal (it ended the worker), canceled.
   */
  look(image: ImageToLookAt, signal?: AbortSignal): Promise<Seen>;
  close(): Promise<void>;
}

interface Task {
  job: LookJob;
  resolve(seen: Seen): void;
  reject(error: CodedError): void;
  isGivenUp: boolean;
}

/** A worker ends after the image in work; the largest takes a second. */
const closeWaitMs = 5_000;

/** Asked again after so long: somebody may have fetched it. */
const missingAgainMs = 10_000;

export interface ImagePoolOptions {
  location: ImageModelsLocation;
  /** Told when a model can't be had, once until it can. */
  onMissing(error: CodedError): void;
}

export function imagePool({ location, onMissing }: ImagePoolOptions): ImagePool {
  const missing = new Set<string>();
  const waiting: Task[] = [];
  let worker: Worker | undefined;
  let current: Task | undefined;
  let isClosed = false;
  let nextId = 0;

  const next = (): void => {
    if (current !== undefined || isClosed) return;
    current = waiting.shift();
    if (current === undefined) return;
    if (current.isGivenUp) {
      current = undefined;
      return next();
    }
    worker ??= start();
    // A copy of its own: the view may lie in a map, or in a body of megabytes, all of which would be cloned.
    const image = new Uint8Array(current.job.image);
    worker.postMessage({ ...current.job, image } satisfies ToImageWorker, [image.buffer]);
  };
  const settle = (how: (task: Task) => void): void => {
    const task = current;
    current = undefined;
    if (task !== undefined) how(task);
    next();
  };
  const start = (): Worker => {
    const made = new Worker(new URL("./image-worker.js", import.meta.url), { workerData: location });
    let failure: unknown;
    made.on("message", (message: FromImageWorker) => {
      if (message.id !== current?.job.id) return;
      if (message.type === "seen") {
        if (message.objects !== undefined) missing.delete("objects");
        if (message.scene !== undefined) missing.delete("scene");
      }
      settle((task) => (message.type === "seen" ? task.resolve(message) : task.reject(errorOf(message))));
    });
    made.once("error", (cause) => (failure = cause));
    made.once("exit", () => {
      if (worker !== made) return;
      worker = undefined;
      const cause = failure;
      settle((task) => task.reject(new CodedError("internal", "an image ended its worker", { cause })));
    });
    return made;
  };

  const errorOf = (message: Refused): CodedError => {
    const error = coded(message);
    if (message.missing === undefined || missing.has(message.missing)) return error;
    missing.add(message.missing);
    onMissing(error);
    return error;
  };

  return {
    look: (given, signal) => {
      if (isClosed) return Promise.reject(new CodedError("unavailable", "look at an image: closed"));
      return new Promise((resolve, reject) => {
        const job: LookJob = { type: "look", id: nextId++, ...given };
        const task: Task = { job, resolve, reject, isGivenUp: false };
        const giveUp = (): void => {
          task.isGivenUp = true;
          reject(new CodedError("canceled", "look at an image: the caller gave up"));
        };
        if (signal?.aborted === true) return giveUp();
        signal?.addEventListener("abort", giveUp, { once: true });
        task.resolve = (seen) => (signal?.removeEventListener("abort", giveUp), resolve(seen));
        task.reject = (error) => (signal?.removeEventListener("abort", giveUp), reject(error));
        waiting.push(task);
        next();
      });
    },
    close: async () => {
      isClosed = true;
      for (const { reject } of waiting.splice(0))
        reject(new CodedError("unavailable", "look at an image: closed"));
      const ending = worker;
      if (ending !== undefined) await endWorker(ending);
    },
  };
}

function coded({ error: { code, message, remedy }, missing }: Refused): CodedError {
  const hint = remedy === undefined ? {} : { remedy };
  if (missing === undefined) return new CodedError(code, message, hint);
  const reason = `images that ask for it wait, since a model cannot be had: ${message}`;
  const subject = `model:${missing}`;
  return new CodedError("unavailable", reason, {
    scope: "stream",
    subject,
    retryAfterMs: missingAgainMs,
    ...hint,
  });
}

/** Asks and waits, never `terminate()`: torn down during `run`, the thread takes the process with it. */
async function endWorker(worker: Worker): Promise<void> {
  const exited = new Promise<void>((resolve) => worker.once("exit", () => resolve()));
  worker.postMessage({ type: "close" } satisfies ToImageWorker);
  let timer: NodeJS.Timeout | undefined;
  const waited = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, closeWaitMs);
  });
  await Promise.race([exited, waited]);
  clearTimeout(timer);
  worker.unref();
}

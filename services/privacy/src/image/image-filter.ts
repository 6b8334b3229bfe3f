/**
 * Images on their way to processes that clean them, and back.
 *
 *   clean(bytes) ─► waiting ─► a process is idle ─► answer: cleaned, or refused for what the image is
 *
 *   process:  none ──first image──► loading ──ready──► idle ◄─► working ──60 s of nothing to do──► none
 *                                      └─failed─► none; who waits is told, and none is started for 5 s
 *             working ──too long, or it ended──► none; its image is tried once more, by another process
 */
import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { CodedError } from "@millrace/errors";
import type { CleanImage } from "./clean-image.js";
import type { FaceModelLocation } from "./face-model.js";
import type { FromImageWorker, ToImageWorker, WireError } from "./image-worker.js";

export interface ImageFilter {
  /**
   * @throws CodedError: `unavailable` where no process can be had, scope `stream`, since only images wait for
   * it; `canceled`; else what is wrong with the image.
   */
  clean(bytes: Uint8Array): Promise<CleanImage>;
  /** Why images wait, where they do. */
  failure(): CodedError | undefined;
  close(): Promise<void>;
}

export interface ImageFilterOptions {
  location: FaceModelLocation;
  /** Processes at most; each takes 200 MB, and 300 MB more for the largest image. */
  processesMax: number;
  /** An image that takes longer ends its process. Default 60 s: one of 25 MP takes 5 s. */
  imageMsMax?: number;
  monotonic(): number;
  /** Called when a process ended by itself or was ended. */
  onLost(error: CodedError): void;
  /** The program of a process; tests put their own here. */
  program?: string;
}

interface Job {
  bytes: Uint8Array;
  tries: number;
  resolve(image: CleanImage): void;
  reject(error: CodedError): void;
}

interface Worker {
  child: ChildProcess;
  isReady: boolean;
  work: (Job & { id: number }) | undefined;
  /** Of its work, its start, or its idleness. */
  timer: NodeJS.Timeout | undefined;
}

const imageMsDefault = 60_000;
const startMsMax = 60_000;
const idleMsMax = 60_000;
const startAgainMs = 5_000;
const triesMax = 2;
/** Of JavaScript objects; pixels and model lie elsewhere. */
const heapMibMax = 256;

const workerProgram = fileURLToPath(new URL("./image-worker.js", import.meta.url));

export function createImageFilter(options: ImageFilterOptions): ImageFilter {
  const { location, processesMax, imageMsMax = imageMsDefault, monotonic, program = workerProgram } = options;
  const workers = new Set<Worker>();
  const waiting: Job[] = [];
  let failure: CodedError | undefined;
  let failedAt = 0;
  let nextId = 1;
  let closed = false;

  const later = (worker: Worker, ms: number, run: () => void): void => {
    clearTimeout(worker.timer);
    worker.timer = setTimeout(run, ms);
  };

  const drop = (worker: Worker): void => {
    workers.delete(worker);
    clearTimeout(worker.timer);
    worker.child.kill("SIGKILL");
  };

  const lose = (worker: Worker, why: string): void => {
    if (!workers.has(worker)) return;
    drop(worker);
    const error = new CodedError("internal", `filter an image: its process ${why}`);
    options.onLost(error);
    const { work } = worker;
    if (work !== undefined && work.tries < triesMax) waiting.unshift(work);
    else work?.reject(error);
    if (worker.isReady) grant();
    else fail(error);
  };

  const fail = ({ message, remedy }: WireError): void => {
    failedAt = monotonic();
    failure = new CodedError("unavailable", `images wait, since the face model cannot be had: ${message}`, {
      scope: "stream",
      subject: "model:faces",
      retryAfterMs: startAgainMs,
      ...(remedy === undefined ? {} : { remedy }),
    });
    if (workers.size > 0) return;
    for (const { reject } of waiting.splice(0)) reject(failure);
  };

  const onMessage = (worker: Worker, message: FromImageWorker): void => {
    if (!workers.has(worker)) return;
    if (message.is === "failed") {
      drop(worker);
      return fail(message.error);
    }
    if (message.is === "ready") {
      worker.isReady = true;
      failure = undefined;
    } else {
      const { work } = worker;
      worker.work = undefined;
      if (message.is === "cleaned") work?.resolve({ bytes: message.bytes, faces: message.faces });
      else work?.reject(errorOf(message.error));
    }
    later(worker, idleMsMax, () => drop(worker));
    worker.timer?.unref();
    grant();
  };

  const start = (): void => {
    const child = fork(program, [], {
      execArgv: [`--max-old-space-size=${heapMibMax}`],
      // What it prints of a crash may quote payload.
      stdio: ["ignore", "ignore", "ignore", "ipc"],
      serialization: "advanced",
    });
    const worker: Worker = { child, isReady: false, work: undefined, timer: undefined };
    workers.add(worker);
    later(worker, startMsMax, () => lose(worker, `was not ready within ${startMsMax} ms`));
    child.on("message", (message: FromImageWorker) => onMessage(worker, message));
    child.on("error", () => lose(worker, "could not be started or told anything"));
    child.on("exit", (code, signal) => lose(worker, `ended (${signal ?? `exit code ${code}`})`));
    send(worker, { is: "start", location });
  };

  const grant = (): void => {
    for (const worker of workers) {
      if (!worker.isReady || worker.work !== undefined) continue;
      const job = waiting.shift();
      if (job === undefined) return;
      worker.work = { ...job, tries: job.tries + 1, id: nextId++ };
      later(worker, imageMsMax, () => lose(worker, `took longer than ${imageMsMax} ms`));
      send(worker, { is: "image", id: worker.work.id, bytes: job.bytes });
    }
    const starting = [...workers].filter(({ isReady }) => !isReady).length;
    if (waiting.length > starting && workers.size < processesMax) start();
  };

  return {
    clean: (bytes) =>
      new Promise((resolve, reject) => {
        if (closed) return reject(new CodedError("canceled", "filter an image: the service stops"));
        const isRecent = failure !== undefined && monotonic() - failedAt < startAgainMs;
        if (isRecent && workers.size === 0) return reject(failure);
        waiting.push({ bytes, tries: 0, resolve, reject });
        grant();
      }),
    failure: () => failure,
    close: async () => {
      closed = true;
      const error = new CodedError("canceled", "filter an image: the service stops");
      for (const { reject } of waiting.splice(0)) reject(error);
      for (const worker of workers) {
        worker.work?.reject(error);
        drop(worker);
      }
    },
  };
}

function send({ child }: Worker, message: ToImageWorker): void {
  // Where it is gone, its exit is told.
  child.send(message, () => undefined);
}

function errorOf({ code, message, remedy }: WireError): CodedError {
  return new CodedError(code, message, { field: "image", ...(remedy === undefined ? {} : { remedy }) });
}

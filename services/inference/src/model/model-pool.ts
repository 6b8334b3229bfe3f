/**
 * N worker threads with a session each, fed text by text from one queue:
 *
 *   embed(texts) ─► queue (interactive, high, bulk) ─► worker 1..N, at most 2 texts each ─► packed vectors
 *
 * A worker:  starting ──ready──► serving ──exit──► starting anew; its texts go back to the front of the
 * queue, once
 *               └─failed, or 3 starts without ready──► given up; when none is left, requests are refused
 */
import { Worker } from "node:worker_threads";
import { assert, CodedError } from "@millrace/errors";
import type { FromWorker, ToWorker, WireError } from "./model-worker.js";
import type { Sentiment } from "./sentiment-head.js";
import type { ModelInfo, TextKind, TextModelLocation } from "./text-model.js";
import {
  type Priority,
  priorities,
  type Request,
  type TextQueue,
  type TextTask,
  textQueue,
} from "./text-queue.js";

export interface ModelPoolOptions {
  location: TextModelLocation;
  /** Sessions, one a core: each takes 150 to 240 MB. */
  workers: number;
  /** Texts that wait, per priority; more are refused. Default 4,096: about 10 s of work for two workers. */
  queuedTextsMax?: number;
  /** Called when a worker ended by itself; it is already being replaced, unless it was given up. */
  onWorkerLost?: (cause: CodedError) => void;
  /** How a worker starts; tests put their hands on it here. */
  spawn?: (location: TextModelLocation) => Worker;
}

export interface EmbedOptions {
  kind: TextKind;
  /** Also judge each text; only meant for passages. */
  sentiment: boolean;
  /** Default "bulk". */
  priority?: Priority;
  signal?: AbortSignal;
  /** Called whenever one of its texts is answered, or one that it is queued behind: it is slow, not stuck. */
  goesOn?: () => void;
}

export interface Embedded {
  model: ModelInfo;
  /** One vector after the other, `model.dimensions` numbers each, in the order of the texts. */
  vectors: Float32Array;
  /** One a text when asked for, else empty. */
  sentiment: Sentiment[];
}

export interface ModelPool {
  models(): ModelInfo[];
  /** Workers that can answer now, of those wanted, and why one was given up. */
  health(): { workersReady: number; workersWanted: number; failure: CodedError | undefined };
  queuedTexts(): number;
  /**
   * @throws CodedError resource_exhausted (queue full), canceled (signal), unavailable (closed, or no worker
   * left), internal (a text that ended two workers).
   */
  embed(texts: readonly string[], options: EmbedOptions): Promise<Embedded>;
  /** Refuses what is open and ends the workers. */
  close(): Promise<void>;
}

interface Slot {
  worker: Worker;
  isReady: boolean;
  tasks: Map<number, TextTask>;
  failure: CodedError | undefined;
  exited: Promise<void>;
}

interface Pool {
  options: ModelPoolOptions;
  queue: TextQueue;
  slots: Set<Slot>;
  info: ModelInfo | undefined;
  failure: CodedError | undefined;
  isClosed: boolean;
  nextTaskId: number;
  /** Starts in a row that did not become ready. */
  failedStarts: number;
  onStart: { resolve: () => void; reject: (error: Error) => void };
}

/** The second text lies ready while the first runs, so that the pool's own pauses do not idle a session. */
const tasksPerWorkerMax = 2;
/** A text is in work twice at most: one that ends its worker is not given a third. */
const attemptsMax = 2;
const failedStartsMax = 3;
const queuedTextsDefaultMax = 4096;
/** A worker ends after the text in work; the longest takes 0.2 s. */
const closeWaitMs = 5_000;

/** Resolves when every worker has loaded the model; rejects with the error of the first that could not. */
export async function modelPool(options: ModelPoolOptions): Promise<ModelPool> {
  assert(options.workers >= 1, "a model pool needs a worker");
  const start = withResolvers();
  const pool: Pool = {
    options,
    queue: textQueue(),
    slots: new Set(),
    info: undefined,
    failure: undefined,
    isClosed: false,
    nextTaskId: 0,
    failedStarts: 0,
    onStart: start,
  };
  for (let i = 0; i < options.workers; i++) startWorker(pool);
  try {
    await start.promise;
  } catch (error) {
    await closePool(pool);
    throw error;
  }
  return {
    models: () => (pool.info === undefined ? [] : [pool.info]),
    health: () => ({
      workersReady: [...pool.slots].filter((slot) => slot.isReady).length,
      workersWanted: options.workers,
      failure: pool.failure,
    }),
    queuedTexts: () => priorities.reduce((sum, priority) => sum + pool.queue.size(priority), 0),
    embed: (texts, embedOptions) => embed(pool, texts, embedOptions),
    close: () => closePool(pool),
  };
}

async function embed(pool: Pool, texts: readonly string[], options: EmbedOptions): Promise<Embedded> {
  const { kind, sentiment, priority = "bulk", signal, goesOn } = options;
  const model = refuseIfUnable(pool, texts.length, priority);
  if (signal?.aborted) throw canceled(signal);
  if (texts.length === 0) return { model, vectors: new Float32Array(0), sentiment: [] };
  const { promise, resolve, reject } = withResolvers();
  const request: Request = {
    texts,
    kind,
    sentiment,
    priority,
    waiting: texts.map((_, i) => texts.length - 1 - i),
    open: texts.length,
    vectors: new Float32Array(texts.length * model.dimensions),
    sentiments: [],
    isSettled: false,
    goesOn,
    resolve,
    reject,
  };
  const onAbort = (): void => settle(pool, request, canceled(signal));
  signal?.addEventListener("abort", onAbort, { once: true });
  pool.queue.push(request);
  dispatch(pool);
  try {
    await promise;
  } finally {
    signal?.removeEventListener("abort", onAbort);
  }
  return { model, vectors: request.vectors, sentiment: request.sentiments };
}

function refuseIfUnable(pool: Pool, texts: number, priority: Priority): ModelInfo {
  if (pool.isClosed || pool.slots.size === 0 || pool.info === undefined) {
    throw new CodedError("unavailable", "embed texts: no model worker runs", { cause: pool.failure });
  }
  const textsMax = pool.options.queuedTextsMax ?? queuedTextsDefaultMax;
  const waiting = pool.queue.size(priority);
  if (waiting + texts <= textsMax) return pool.info;
  throw new CodedError("resource_exhausted", `embed ${texts} texts: ${waiting} of ${textsMax} wait already`, {
    remedy: "Send again later, or run more inference workers",
    retryAfterMs: 1_000,
  });
}

/** Fills the workers, the emptiest first, so that a text never waits beside an idle one. */
function dispatch(pool: Pool): void {
  for (let depth = 0; depth < tasksPerWorkerMax; depth++) {
    for (const slot of pool.slots) {
      if (!slot.isReady || slot.tasks.size > depth) continue;
      const task = pool.queue.take();
      if (task === undefined) return;
      const id = pool.nextTaskId++;
      slot.tasks.set(id, task);
      const { kind, sentiment, texts } = task.request;
      post(slot, { type: "embed", id, text: texts[task.index] ?? "", kind, sentiment });
    }
  }
}

function post(slot: Slot, message: ToWorker): void {
  slot.worker.postMessage(message);
}

function settle(pool: Pool, request: Request, error?: Error): void {
  if (request.isSettled) return;
  request.isSettled = true;
  if (error === undefined) request.resolve();
  else {
    pool.queue.forget(request);
    request.reject(error);
  }
}

function startWorker(pool: Pool): void {
  const { location, spawn = spawnWorker } = pool.options;
  const worker = spawn(location);
  const slot: Slot = {
    worker,
    isReady: false,
    tasks: new Map(),
    failure: undefined,
    exited: new Promise((resolve) => worker.once("exit", () => resolve())),
  };
  pool.slots.add(slot);
  worker.on("message", (message: FromWorker) => onMessage(pool, slot, message));
  worker.once("error", (cause) => {
    slot.failure ??= new CodedError("internal", "a model worker crashed", { cause });
  });
  worker.once("exit", () => onExit(pool, slot));
}

function spawnWorker(location: TextModelLocation): Worker {
  return new Worker(new URL("./model-worker.js", import.meta.url), { workerData: location });
}

function onMessage(pool: Pool, slot: Slot, message: FromWorker): void {
  if (message.type === "ready") {
    slot.isReady = true;
    pool.info = message.info;
    pool.failedStarts = 0;
    tellWaiting(pool);
    if ([...pool.slots].every(({ isReady }) => isReady)) pool.onStart.resolve();
  } else if (message.type === "failed") {
    slot.failure = codedError(message.error);
    pool.failedStarts = failedStartsMax;
  } else {
    const task = slot.tasks.get(message.id);
    slot.tasks.delete(message.id);
    if (task !== undefined) onAnswer(pool, task, message);
    task?.request.goesOn?.();
    tellWaiting(pool);
  }
  dispatch(pool);
}

/** The queue moves: nobody in it is stuck. Whose texts are all at a worker hears of these only. */
function tellWaiting({ queue }: Pool): void {
  for (const request of queue.requests()) request.goesOn?.();
}

function onAnswer(pool: Pool, { request, index }: TextTask, answer: FromWorker): void {
  if (request.isSettled) return;
  if (answer.type === "refused") settle(pool, request, codedError(answer.error));
  if (answer.type !== "embedded") return;
  request.vectors.set(answer.vector, index * answer.vector.length);
  if (answer.sentiment !== undefined) request.sentiments[index] = answer.sentiment;
  request.open--;
  if (request.open === 0) settle(pool, request);
}

function onExit(pool: Pool, slot: Slot): void {
  pool.slots.delete(slot);
  if (pool.isClosed) return;
  const cause = slot.failure ?? new CodedError("internal", "a model worker ended by itself");
  for (const task of slot.tasks.values()) {
    if (task.request.isSettled) continue;
    if (task.attempts < attemptsMax) pool.queue.putBack(task);
    else
      settle(
        pool,
        task.request,
        new CodedError("internal", "embed a text: it ended two model workers", { cause }),
      );
  }
  if (!slot.isReady) pool.failedStarts++;
  if (pool.failedStarts < failedStartsMax) startWorker(pool);
  else giveUp(pool, cause);
  pool.options.onWorkerLost?.(cause);
}

/** The slot stays empty; the other workers go on, and with none left nothing that is open can be answered. */
function giveUp(pool: Pool, cause: CodedError): void {
  pool.failure = cause;
  pool.onStart.reject(cause);
  if (pool.slots.size > 0) return;
  for (const request of pool.queue.requests()) {
    settle(pool, request, new CodedError("unavailable", "embed texts: no model worker is left", { cause }));
  }
}

async function closePool(pool: Pool): Promise<void> {
  if (pool.isClosed) return;
  pool.isClosed = true;
  const slots = [...pool.slots];
  const open = slots.flatMap((slot) => [...slot.tasks.values()].map((task) => task.request));
  for (const request of [...pool.queue.requests(), ...open]) {
    settle(pool, request, new CodedError("unavailable", "embed texts: the model pool was closed"));
  }
  await Promise.all(slots.map(endWorker));
  pool.slots.clear();
}

/**
 * Asks and waits. Never `terminate()`: onnxruntime-node 1.30 aborts the whole process when its thread is torn
 * down during `run`. A worker that does not answer in time no longer keeps the process alive.
 */
async function endWorker(slot: Slot): Promise<void> {
  post(slot, { type: "close" });
  let timer: NodeJS.Timeout | undefined;
  const waited = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, closeWaitMs);
  });
  await Promise.race([slot.exited, waited]);
  clearTimeout(timer);
  slot.worker.unref();
}

function codedError({ code, message, remedy }: WireError): CodedError {
  return new CodedError(code, message, remedy === undefined ? {} : { remedy });
}

function canceled(signal: AbortSignal | undefined): CodedError {
  return new CodedError("canceled", "embed texts: the caller gave up", { cause: signal?.reason });
}

/** `Promise.withResolvers` of Node 22. */
function withResolvers() {
  let resolve: () => void = () => undefined;
  let reject: (error: Error) => void = () => undefined;
  const promise = new Promise<void>((onResolve, onReject) => {
    resolve = onResolve;
    reject = onReject;
  });
  return { promise, resolve, reject };
}

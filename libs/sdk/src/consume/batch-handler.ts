import type { Slots } from "../receive/slots.js";
import type { Environment } from "../rpc/environment.js";
import { invalidArgument } from "../rpc/millrace-error.js";
import { checkBoolean, checkCount, checkKeys } from "../units/checks.js";
import { type Duration, parseDuration } from "../units/duration.js";
import { inSlot, type Registration } from "./group-runner.js";
import type { HandledMessage } from "./handled-message.js";
import { BatchError } from "./outcome.js";

export interface BatchOptions {
  /** Messages a call at most, 1 to 4096. Default 1000. */
  batchSize?: number;
  /** How long the first message of a batch waits for others. Default `"50ms"`. */
  linger?: Duration;
  /** True: only what `queueForBatchProcessing` queued. Default false: all messages. */
  queued?: boolean;
}

/** A message of a batch. */
export type BatchMessage = HandledMessage & {
  /** This one failed, as if a handler of it alone had thrown the error; the others of the batch are done. */
  fail(error: unknown): void;
};

/**
 * Resolves when the batch is done: with nothing, or with a result a message, of which an `Error` says that it
 * failed. Thrown, a `BatchError` says which failed, and any other error that all did.
 */
export type BatchHandle = (messages: BatchMessage[]) => unknown;

interface Waiting {
  message: HandledMessage;
  resolve(): void;
  reject(error: unknown): void;
}

interface BatchHandlerParts {
  environment: Environment;
  slots: Slots;
  signal: AbortSignal;
}

export function batchHandler(
  { environment, slots, signal }: BatchHandlerParts,
  given: BatchOptions,
  handle: BatchHandle,
): Registration {
  checkKeys(given, ["batchSize", "linger", "queued"], "");
  const { batchSize = 1_000, linger = "50ms", queued = false } = given;
  checkCount(batchSize, "batchSize", [1, 4_096]);
  checkBoolean(queued, "queued");
  if (typeof handle !== "function") throw invalidArgument("handler", "is no function", "Give a function.");
  const lingerMs = parseDuration(linger, "linger");
  let waiting: Waiting[] = [];
  let lingering: AbortController | undefined;
  const run = (): void => {
    lingering?.abort();
    lingering = undefined;
    const batch = waiting;
    waiting = [];
    if (batch.length === 0) return;
    void inSlot(slots, signal, () => callOnce(batch, handle)).catch((error: unknown) => {
      for (const { reject } of batch) reject(error);
    });
  };
  const wait = async (): Promise<void> => {
    const over = new AbortController();
    lingering = over;
    await environment.sleep(lingerMs, over.signal);
    if (!over.signal.aborted) run();
  };
  return {
    kind: undefined,
    queued: queued ? "only" : "too",
    // One batch is collected while another is worked on.
    inHand: 2 * batchSize,
    handle: (message) =>
      new Promise((resolve, reject) => {
        waiting.push({ message, resolve, reject });
        if (waiting.length >= batchSize) run();
        else if (lingering === undefined) void wait();
      }),
    drain: run,
  };
}

async function callOnce(batch: readonly Waiting[], handle: BatchHandle): Promise<void> {
  const failures = new Map<number, unknown>();
  const messages = batch.map(({ message }, index) => ({
    ...message,
    fail: (error: unknown) => void failures.set(index, error ?? new Error("failed")),
  }));
  try {
    const results: unknown = await handle(messages);
    if (Array.isArray(results)) {
      for (const [index, result] of results.entries()) {
        if (result instanceof Error && !failures.has(index)) failures.set(index, result);
      }
    }
  } catch (error) {
    if (!(error instanceof BatchError)) throw error;
    for (const [index, failure] of error.failures) failures.set(index, failure);
  }
  for (const [index, { resolve, reject }] of batch.entries()) {
    if (failures.has(index)) reject(failures.get(index));
    else resolve();
  }
}

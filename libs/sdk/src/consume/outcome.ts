import { CodedError } from "@millrace/errors";
import type { Settle } from "@millrace/proto/group";
import { MillraceError } from "../rpc/millrace-error.js";
import { type Duration, parseDuration, toWireDuration } from "../units/duration.js";

/** Thrown by a handler: trying again will not help. The message goes to the dead letters at once. */
export class PermanentError extends Error {
  override readonly name = "PermanentError";
}

/**
 * Thrown by a handler: what it depends on is away. The message comes again after the delay, and no attempt is
 * counted.
 */
export class RetryLater extends Error {
  override readonly name = "RetryLater";
  readonly delayMs: number;

  constructor({ delay = "1s", cause }: { delay?: Duration; cause?: unknown } = {}) {
    super("try again later", cause === undefined ? undefined : { cause });
    this.delayMs = parseDuration(delay, "delay");
  }
}

/** Thrown by a batch handler: some of its messages failed, by their index; the others are done. */
export class BatchError extends Error {
  override readonly name = "BatchError";
  readonly failures: ReadonlyMap<number, unknown>;

  constructor(failures: ReadonlyMap<number, unknown>) {
    super(`${failures.size} messages of a batch failed`);
    this.failures = failures;
  }
}

/** What became of a message. */
export type Outcome =
  | { kind: "done" }
  | { kind: "released" }
  | { kind: "retry"; delayMs: number | undefined; counts: boolean; reason: string }
  | { kind: "failed"; code: string; reason: string };

export const done: Outcome = { kind: "done" };

/**
 * What an error of a handler means for its message. Its text may quote payload, so only errors of ours and
 * permanent ones are told in words.
 */
export function outcomeOf(error: unknown): Outcome {
  if (error instanceof RetryLater) {
    return { kind: "retry", delayMs: error.delayMs, counts: false, reason: error.message };
  }
  if (error instanceof PermanentError) {
    const { code = "failed_precondition" } = error.cause instanceof CodedError ? error.cause : {};
    return { kind: "failed", code, reason: error.message };
  }
  if (error instanceof MillraceError) {
    // A call of the handler's own that may succeed later: nothing is wrong with the message.
    const counts = !error.retryable;
    return { kind: "retry", delayMs: error.retryAfterMs, counts, reason: error.code };
  }
  const name = error instanceof Error ? error.name : typeof error;
  return { kind: "retry", delayMs: undefined, counts: true, reason: `the handler threw ${name}` };
}

const rank = { done: 0, released: 1, retry: 2, failed: 3 };

/** Of several handlers of one message the worst counts. */
export function worst(outcomes: readonly Outcome[]): Outcome {
  return outcomes.reduce((one, other) => (rank[other.kind] > rank[one.kind] ? other : one), done);
}

/** Adds an item's outcome to what is sent next. */
export function addOutcome(settle: Settle, item: number, outcome: Outcome): void {
  if (outcome.kind === "done") settle.done.push(item);
  else if (outcome.kind === "released") settle.released.push(item);
  else if (outcome.kind === "failed") {
    settle.failures.push({ item, code: outcome.code, reason: outcome.reason });
  } else {
    const delay = outcome.delayMs === undefined ? undefined : toWireDuration(outcome.delayMs);
    settle.retries.push({ item, delay, uncounted: !outcome.counts, reason: outcome.reason });
  }
}

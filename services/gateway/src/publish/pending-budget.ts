import { CodedError } from "@millrace/errors";

/** Bounds what is published and not yet durable, over all streams of the process. */
export interface PendingBudget {
  /** Errors: `resource_exhausted`. */
  take(bytes: number): void;
  /** For what was let in as a whole when there was room. */
  add(bytes: number): void;
  give(bytes: number): void;
  hasRoom(): boolean;
  /** Resolves when something was given back, or the signal is aborted. */
  change(signal: AbortSignal): Promise<void>;
  bytes(): number;
}

export function createPendingBudget(pendingBytesMax: number): PendingBudget {
  let pending = 0;
  let waiting: (() => void)[] = [];
  const hasRoom = (): boolean => pending < pendingBytesMax;
  return {
    hasRoom,
    bytes: () => pending,
    take: (bytes) => {
      // One more than the bound is let in, so that a message larger than what is left is not refused for
      // ever.
      if (!hasRoom()) {
        throw new CodedError("resource_exhausted", "publish: too much is waiting to become durable", {
          retryAfterMs: 500,
          remedy: "Wait and send it again.",
        });
      }
      pending += bytes;
    },
    add: (bytes) => {
      pending += bytes;
    },
    give: (bytes) => {
      pending -= bytes;
      const woken = waiting;
      waiting = [];
      for (const wake of woken) wake();
    },
    change: (signal) =>
      new Promise((resolve) => {
        if (signal.aborted) return resolve();
        const done = (): void => {
          signal.removeEventListener("abort", done);
          resolve();
        };
        waiting.push(done);
        signal.addEventListener("abort", done, { once: true });
      }),
  };
}

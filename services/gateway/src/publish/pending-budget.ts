import { CodedError } from "@millrace/errors";
import type { StreamName } from "@millrace/envelope";
import type { Lane } from "@millrace/proto/batch";

/** A lane of a stream: what is urgent is not kept out by what is not. */
export interface Holder extends StreamName {
  lane: Lane;
}

/**
 * Bounds what is published and not yet durable, over all streams of the process. A lane of a stream may hold
 * as much as is left besides, so half of it alone and less beside others: those that are full leave room for
 * the next.
 */
export interface PendingBudget {
  /** Errors: `resource_exhausted`. */
  take(of: Holder, bytes: number): void;
  /** For what was let in as a whole when there was room. */
  add(of: Holder, bytes: number): void;
  give(of: Holder, bytes: number): void;
  hasRoom(of: Holder): boolean;
  /** Resolves when something was given back, or the signal is aborted. */
  change(signal: AbortSignal): Promise<void>;
  bytes(): number;
}

export function createPendingBudget(pendingBytesMax: number): PendingBudget {
  const held = new Map<string, number>();
  let pending = 0;
  let waiting: (() => void)[] = [];
  const keyOf = ({ tenant, stream, lane }: Holder): string => `${tenant}/${stream}/${lane}`;
  const heldBy = (of: Holder): number => held.get(keyOf(of)) ?? 0;
  const hasRoom = (of: Holder): boolean => heldBy(of) < pendingBytesMax - pending;
  const hold = (of: Holder, bytes: number): void => {
    pending += bytes;
    const now = heldBy(of) + bytes;
    if (now > 0) held.set(keyOf(of), now);
    else held.delete(keyOf(of));
  };
  return {
    hasRoom,
    bytes: () => pending,
    take: (of, bytes) => {
      // One more than the bound is let in, so that a message larger than what is left is not refused for
      // ever.
      if (!hasRoom(of)) {
        throw new CodedError("resource_exhausted", "publish: too much is waiting to become durable", {
          retryAfterMs: 500,
          remedy: "Wait and send it again.",
        });
      }
      hold(of, bytes);
    },
    add: hold,
    give: (of, bytes) => {
      hold(of, -bytes);
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

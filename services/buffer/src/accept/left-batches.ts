import { CodedError, disposition } from "@millrace/errors";
import { decodeBatch } from "@millrace/envelope";
import type { Batch } from "@millrace/proto/batch";
import type { Acceptance } from "./acceptor.js";

/** A batch that a writer made durable in a leased segment and did not see accepted. */
export interface Left {
  id: string;
  bytes: Uint8Array;
}

export interface LeftBodies {
  pin(id: string): void;
  unpin(id: string, isReferred: boolean): Promise<void>;
}

export interface LeftBatchesOptions {
  /** `again`: also where the batch is known, since nobody watches its message any more. */
  accept(batch: Batch, again: boolean): Promise<Acceptance>;
  sleep(ms: number): Promise<void>;
  log: Record<"warn" | "error", (sentence: string, fields: { id: string; code: string }) => void>;
}

export interface LeftBatches {
  /** Resolves when each is accepted, or is nobody's any more. */
  take(left: readonly Left[], bodies: LeftBodies, again: boolean): Promise<void>;
  stop(): void;
}

/** One at a time, a thousand of them would take minutes of synced publishes. */
const inFlightMax = 32;
const retryMs = 1_000;

/**
 * Accepts what writers left behind: killed before they offered it, or offered when their lease had ended. It
 * goes the way of every batch, so whoever offers it again under the same id gets the same answer.
 */
export function createLeftBatches(options: LeftBatchesOptions): LeftBatches {
  const { accept, sleep, log } = options;
  let stopped = false;

  const takeOne = async ({ id, bytes }: Left, bodies: LeftBodies, again: boolean): Promise<void> => {
    while (!stopped) {
      bodies.pin(id);
      try {
        const { published } = await accept(decodeBatch(bytes), again);
        return await bodies.unpin(id, published !== undefined);
      } catch (caught) {
        const error = CodedError.from(caught, "accept a batch that was left");
        // Its stream is gone, or is not exempt any more and its source sends it again: nobody waits for it.
        if (error.code === "not_found" || error.code === "failed_precondition") {
          return await bodies.unpin(id, false);
        }
        if (disposition(error.code) !== "wait") {
          // Kept where it is, for somebody to look at; the others go on.
          log.error("batch that was left is refused", { id, code: error.code });
          return;
        }
        log.warn("batch that was left is not accepted, trying again", { id, code: error.code });
        await sleep(retryMs);
      }
    }
  };
  return {
    take: async (left, bodies, again) => {
      for (let at = 0; at < left.length; at += inFlightMax) {
        await Promise.all(left.slice(at, at + inFlightMax).map((one) => takeOne(one, bodies, again)));
      }
    },
    stop: () => {
      stopped = true;
    },
  };
}

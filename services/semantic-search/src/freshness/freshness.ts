import { CodedError } from "@millrace/errors";
import { type Broker, type Ledger, type LedgerKey, streamBounds } from "@millrace/messaging";
import type { Clock } from "@millrace/runtime";
import type { EmbeddingsTail } from "./embeddings-tail.js";

export interface Freshness {
  /** Resolves when the message at an offset of a source can be found. Errors: `deadline_exceeded`. */
  wait(key: LedgerKey, offset: number, waitMs: number): Promise<void>;
}

const pollMs = 5;

/**
 * First the sink must have settled the position, then the index must have reached what was stored by then.
 */
export function createFreshness(parts: {
  ledger: Ledger;
  tail: EmbeddingsTail;
  broker: Broker;
  clock: Clock;
}): Freshness {
  const { ledger, tail, broker, clock } = parts;
  return {
    wait: async (key, offset, waitMs) => {
      const until = clock.monotonic() + waitMs;
      const late = (): CodedError =>
        new CodedError("deadline_exceeded", "find: the position is not searchable yet", {
          field: "after",
          remedy: "Wait longer, or check that the stream has search on.",
          retryAfterMs: 500,
        });
      const account = await ledger.account(key);
      while (!account.settled.has(offset)) {
        if (clock.monotonic() >= until) throw late();
        await clock.sleep(pollMs);
      }
      const { last } = await streamBounds(broker, "EMBEDDINGS");
      while (!(await tail.hasReached(last))) {
        if (clock.monotonic() >= until) throw late();
        await clock.sleep(pollMs);
      }
    },
  };
}

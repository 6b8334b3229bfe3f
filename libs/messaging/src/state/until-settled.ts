import { CodedError } from "@millrace/errors";
import type { Clock } from "@millrace/runtime";
import type { Broker } from "../broker/broker.js";
import { isSettled, type LedgerKey } from "./ledger.js";

const pollMs = 25;

/**
 * Resolves when a stage is through with a message, as the bucket says: another replica may have been the one.
 * What is changed of a message before that could be written again as it was, by the next delivery of its
 * batch. Errors: `deadline_exceeded`.
 */
export async function untilSettled(
  broker: Broker,
  clock: Pick<Clock, "monotonic" | "sleep">,
  of: LedgerKey & { stage: string; position: number; waitMs: number },
): Promise<void> {
  const until = clock.monotonic() + of.waitMs;
  while (!(await isSettled(broker, of.stage, of))) {
    if (clock.monotonic() >= until) {
      throw new CodedError("deadline_exceeded", `change a content: ${of.stage} is not through with it yet`, {
        field: "content_id",
        remedy: "Try again in a moment, or allow more time.",
        retryAfterMs: 500,
      });
    }
    await clock.sleep(pollMs);
  }
}

import type { Code } from "./code.js";

/**
 * What becomes of a delivery whose handler failed:
 *
 * - `wait`: what the handler depends on is full or away. The delivery is kept alive and tried again in place;
 *   waiting is not failing, so it counts no attempt.
 * - `retry`: the error may be of the data or of us. The broker redelivers, a few times, then it is
 *   dead-lettered.
 * - `dead_letter`: trying again cannot help.
 * - `release`: we are stopping; somebody else takes the delivery at once.
 * - `done`: the effect is there already.
 */
export type Disposition = "wait" | "retry" | "dead_letter" | "release" | "done";

export function disposition(code: Code): Disposition {
  switch (code) {
    case "unavailable":
    case "resource_exhausted":
    case "deadline_exceeded":
      return "wait";
    case "aborted":
    case "internal":
    case "unknown":
    case "permission_denied":
    case "unauthenticated":
    case "not_found":
      return "retry";
    case "already_exists":
      return "done";
    case "canceled":
      return "release";
    case "invalid_argument":
    case "failed_precondition":
    case "out_of_range":
    case "unimplemented":
    case "data_loss":
      return "dead_letter";
  }
}

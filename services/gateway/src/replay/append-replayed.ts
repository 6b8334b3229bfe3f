import { CodedError, disposition } from "@millrace/errors";
import type { Batch } from "@millrace/proto/batch";

export interface AppendReplayedParts {
  /** Resolves when it is durable, with whether it was there before. */
  appendOnce(batch: Batch): Promise<{ isRepeated: boolean }>;
  backoffMs(attempt: number): number;
  sleep(ms: number, signal: AbortSignal): Promise<void>;
}

/** Full or away is waited for, a refusal ends the replay. Resolves with whether it was there before. */
export async function appendReplayed(
  parts: AppendReplayedParts,
  batch: Batch,
  signal: AbortSignal,
): Promise<boolean> {
  for (let attempt = 0; ; attempt++) {
    try {
      return (await parts.appendOnce(batch)).isRepeated;
    } catch (caught) {
      const error = CodedError.from(caught, "replay");
      if (disposition(error.code) !== "wait" || signal.aborted) throw error;
      await parts.sleep(Math.max(parts.backoffMs(attempt), error.retryAfterMs ?? 0), signal);
      if (signal.aborted) throw error;
    }
  }
}

import { CodedError } from "@millrace/errors";

/**
 * Remembers what was answered to an idempotency key, so that the same key again gets the same answer; a call
 * under way is shared. Keys live in this process only: after a restart, or at another replica, a key gives
 * the message its old id but is taken again.
 */
export interface KeyWindow<Answer> {
  /**
   * Errors: those of `work`, after which the key is free again; `resource_exhausted` when it can't be
   * remembered.
   */
  once(key: string, work: () => Promise<Answer>): Promise<Answer>;
}

const rememberedMs = 10 * 60_000;

export function createKeyWindow<Answer>(keysMax: number, now: () => number): KeyWindow<Answer> {
  // In the order in which they were first used, which is the order in which they end.
  const known = new Map<string, { answer: Promise<Answer>; until: number }>();
  const expire = (): void => {
    for (const [key, { until }] of known) {
      if (until > now()) return;
      known.delete(key);
    }
  };
  return {
    once: (key, work) => {
      expire();
      const before = known.get(key);
      if (before !== undefined) return before.answer;
      if (known.size >= keysMax) {
        throw new CodedError(
          "resource_exhausted",
          `publish: ${keysMax} idempotency keys are remembered already`,
          {
            field: "idempotency_key",
            retryAfterMs: 10_000,
            remedy: "Wait, publish without a key, or raise limits.rememberedKeysMax.",
          },
        );
      }
      const answer = work();
      known.set(key, { answer, until: now() + rememberedMs });
      answer.catch(() => known.delete(key));
      return answer;
    },
  };
}

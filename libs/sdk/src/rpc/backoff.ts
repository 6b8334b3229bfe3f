import type { Environment } from "./environment.js";

export interface Backoff {
  /**
   * The next wait in milliseconds: doubling, the upper half of it random, so that clients don't return at
   * once.
   */
  next(): number;
  reset(): void;
}

export function createBackoff({ random, backoffFirstMs, backoffMaxMs }: Environment): Backoff {
  let attempt = 0;
  return {
    next() {
      const ceilingMs = Math.min(backoffFirstMs * 2 ** attempt, backoffMaxMs);
      attempt += 1;
      return ceilingMs * (0.5 + random() / 2);
    },
    reset() {
      attempt = 0;
    },
  };
}

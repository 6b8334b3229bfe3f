export interface RestartPolicy {
  /** The wait before the first restart; each further one doubles it, up to `mostMs`. */
  firstMs: number;
  mostMs: number;
  /** A program that was up this long starts from `firstMs` again. */
  steadyMs: number;
  /** More restarts than this within `windowMs`, and the program is given up. */
  restartsMax: number;
  windowMs: number;
}

/** Ten restarts take about a minute with these waits, enough for a broker or a disk to come back. */
export const restartPolicyDefault: RestartPolicy = {
  firstMs: 250,
  mostMs: 15_000,
  steadyMs: 30_000,
  restartsMax: 10,
  windowMs: 300_000,
};

export interface Restarts {
  /** The wait before the next restart in milliseconds; undefined: give the program up. */
  next: (endedAtMs: number, upMs: number) => number | undefined;
  count: () => number;
}

/**
 * Exponential back-off with a jitter of half the wait, so that programs that fell together do not rise
 * together.
 */
export function restartSchedule(policy: RestartPolicy, random: () => number): Restarts {
  let step = 0;
  let total = 0;
  let recent: number[] = [];
  return {
    count: () => total,
    next: (endedAtMs, upMs) => {
      recent = recent.filter((at) => at > endedAtMs - policy.windowMs);
      if (recent.length >= policy.restartsMax) return undefined;
      recent.push(endedAtMs);
      total += 1;
      step = upMs >= policy.steadyMs ? 0 : step;
      const wait = Math.min(policy.mostMs, policy.firstMs * 2 ** step);
      step += 1;
      return wait * (0.5 + random() / 2);
    },
  };
}

import type { User } from "./identity.js";

/** What somebody wants to do: with a resource of a namespace, or with a path. */
export type Attributes =
  | { namespace: string; verb: string; group: string; version: string; resource: string }
  | { path: string; verb: string };

export interface Verdict {
  allowed: boolean;
  reason: string;
}

export interface Reviews {
  /** The cluster's answer, for some seconds the last one. */
  judge(user: User, attributes: Attributes): Promise<Verdict>;
}

export interface ReviewsOptions {
  review(user: User, attributes: Attributes): Promise<Verdict>;
  /** Milliseconds since any fixed moment. */
  monotonic(): number;
}

/** A right that is taken away holds on for so long at most. */
const keptMs = 10_000;
const keptMax = 1_000;

export function createReviews({ review, monotonic }: ReviewsOptions): Reviews {
  const kept = new Map<string, { untilMs: number; verdict: Promise<Verdict> }>();
  return {
    judge: (user, attributes) => {
      const key = JSON.stringify([user, attributes]);
      const now = monotonic();
      const known = kept.get(key);
      if (known !== undefined && now < known.untilMs) return known.verdict;
      const verdict = review(user, attributes);
      kept.delete(key);
      const entry = { untilMs: now + keptMs, verdict };
      kept.set(key, entry);
      const [oldest] = kept.keys();
      if (kept.size > keptMax && oldest !== undefined) kept.delete(oldest);
      // What failed says nothing about the next one.
      verdict.catch(() => {
        if (kept.get(key) === entry) kept.delete(key);
      });
      return verdict;
    },
  };
}

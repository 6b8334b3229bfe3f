import { inspect } from "node:util";
import type { Clock } from "../clock.js";
import { systemClock } from "../clock.js";

export interface EventuallyOptions {
  /** What is waited for, for the error. */
  what: string;
  deadlineMs?: number;
  pollMs?: number;
  clock?: Clock;
}

/**
 * Asks again and again until the answer is truthy, and returns it; a throw counts as "not yet". This is how
 * tests wait: never by sleeping for a guessed time. Past the deadline it throws, showing the last answer or
 * error.
 */
export async function eventually<T>(
  probe: () => T | Promise<T>,
  options: EventuallyOptions,
): Promise<NonNullable<T>> {
  const { what, deadlineMs = 15_000, pollMs = 20, clock = systemClock } = options;
  const end = clock.monotonic() + deadlineMs;
  for (;;) {
    let last: unknown;
    try {
      const value = await probe();
      if (value) return value;
      last = value;
    } catch (caught) {
      last = caught;
    }
    if (clock.monotonic() >= end) {
      throw new Error(`${what}: not within ${deadlineMs} ms; last: ${inspect(last, { depth: 4 })}`);
    }
    await clock.sleep(pollMs);
  }
}

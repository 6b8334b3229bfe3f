import { setTimeout as sleep } from "node:timers/promises";

/** Polls until there is an answer; fails with what was waited for. */
export async function until<T>(
  what: string,
  ask: () => Promise<T | undefined>,
  { timeoutMs = 60_000, pollMs = 500 }: { timeoutMs?: number; pollMs?: number } = {},
): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined) return answer;
    if (performance.now() > deadline) throw new Error(`waited ${timeoutMs / 1000} s in vain for ${what}`);
    await sleep(pollMs);
  }
}

import { setTimeout as sleep } from "node:timers/promises";

/** Polls until it holds; gives up after 90 s. */
export async function eventually(holds: () => boolean | Promise<boolean>): Promise<void> {
  const giveUp = AbortSignal.timeout(90_000);
  while (!(await holds())) await sleep(50, undefined, { signal: giveUp });
}

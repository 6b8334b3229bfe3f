import type { OpenBatch } from "@millrace/envelope";
import { textsOf } from "@millrace/envelope/testing";

/** Handlers that the text of a message breaks, as the module of a trial and to be called: for tests only. */
const kinds: Record<string, () => unknown> = {
  throws: () => {
    throw new TypeError("cannot read a property of a secret");
  },
  loops: () => {
    for (;;) Math.sqrt(2);
  },
  awaits: () => new Promise(() => undefined),
  exits: () => process.exit(0),
  aborts: () => process.abort(),
  killed: () => process.kill(process.pid, "SIGKILL"),
  grows: () => {
    const held: unknown[] = [];
    for (;;) held.push(Array.from({ length: 1_000_000 }, (_, at) => at));
  },
};

export async function swallow(open: OpenBatch): Promise<void> {
  for (const text of textsOf(open)) await kinds[text]?.();
}

export const tryBatch = async () => async (open: OpenBatch) => swallow(open);

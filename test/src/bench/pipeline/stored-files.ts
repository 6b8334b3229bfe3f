import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { CodedError } from "@millrace/errors";
import { addFile, emptySum, type LineSum } from "./line-sum.js";

/** Files close at an age of 2 s. */
const closingMs = 30_000;

/** Waits until the sink has published its last file. */
export async function untilPublished(dir: string, signal: AbortSignal): Promise<void> {
  const until = performance.now() + closingMs;
  for (;;) {
    const open = (await readdir(join(dir, ".spool"))).filter((name) => name.endsWith(".data"));
    if (open.length === 0) return;
    if (performance.now() > until) {
      throw new CodedError("deadline_exceeded", `bench: ${open.length} files of the store are still open`);
    }
    await sleep(100, undefined, { signal });
  }
}

export async function sumStored(dir: string, signal: AbortSignal): Promise<LineSum> {
  const sum = emptySum();
  for (const name of (await readdir(dir)).sort()) {
    if (name.endsWith(".jsonl")) await addFile(sum, join(dir, name), signal);
  }
  return sum;
}

import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { addFile, emptySum, type LineSum } from "../line-sum.js";

/** Every line of every part. */
export async function sumStored(dir: string, signal: AbortSignal): Promise<LineSum> {
  const sum = emptySum();
  for (const name of (await readdir(dir)).sort()) {
    if (name.endsWith(".jsonl")) await addFile(sum, join(dir, name), signal);
  }
  return sum;
}

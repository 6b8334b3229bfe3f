import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { TestSystem } from "./local-system.js";

/** Lines of all visible part files of a stream, in the order of the parts. */
export async function storedLines(system: Pick<TestSystem, "outputDir">, stream: string): Promise<string[]> {
  const dir = join(system.outputDir, "default", stream);
  const names = (await readdir(dir).catch((): string[] => []))
    .filter((name) => name.endsWith(".jsonl"))
    .sort();
  const texts = await Promise.all(names.map((name) => readFile(join(dir, name), "utf8")));
  return texts.flatMap((text) => text.split("\n").slice(0, -1));
}

/** Polls until it holds; after a minute, or as told, it fails and says what was waited for. */
export async function until(
  holds: () => boolean | Promise<boolean>,
  what: string,
  { timeoutMs = 60_000, pollMs = 50 }: { timeoutMs?: number; pollMs?: number } = {},
): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`waited ${timeoutMs} ms in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, pollMs));
  }
}

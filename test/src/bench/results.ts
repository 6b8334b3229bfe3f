import { appendFileSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import type { BenchContext } from "./bench-context.js";
import { commitOf } from "./machine-shape.js";
import { line } from "./report.js";

/** The fields of the last line, which begins with the bench's name. */
export type BenchResult = { bench: string } & Record<string, unknown>;

/**
 * Keeps a result as a line of test/bench/results/<bench>.jsonl, with what it depends on, and prints it last.
 */
export function keepResult(context: BenchContext, result: BenchResult, details: object): void {
  const { root, shape, options } = context;
  // Paths are of one machine.
  const { dir: _dir, profile: _profile, keep: _keep, ...asked } = options;
  const folder = join(root, "test", "bench", "results");
  const kept = {
    date: new Date().toISOString(),
    commit: commitOf(root),
    ...result,
    options: asked,
    shape,
    ...details,
  };
  if (options.keep) {
    mkdirSync(folder, { recursive: true });
    appendFileSync(join(folder, `${result.bench}.jsonl`), `${JSON.stringify(kept)}\n`);
  }
  line(JSON.stringify(result));
}

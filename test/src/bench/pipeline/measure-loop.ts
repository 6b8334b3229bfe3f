import { rm } from "node:fs/promises";
import { join } from "node:path";
import { CodedError } from "@millrace/errors";
import type { BenchContext } from "../bench-context.js";
import { addFile, difference, emptySum } from "./line-sum.js";
import { makeInput } from "./make-input.js";
import { redactFile } from "./plain-loop.js";

export interface LoopFigures {
  mbPerSecond: number;
  /** CPU seconds for a GB, syncs included. */
  cpuPerGb: number;
}

/**
 * The plain loop over an input of the same kind that is as long as it needs; undefined where none is wanted.
 */
export async function measureLoop(
  { workDir, signal, options }: BenchContext,
  { lineBytes, personal }: { lineBytes: number; personal: number },
): Promise<LoopFigures | undefined> {
  if (options.loopGb === 0) return undefined;
  const dir = join(workDir, "loop-input");
  const bytes = options.loopGb * 1e9;
  const made = await makeInput({ dir, lineBytes, bytes, files: 1, personal, seed: options.seed, signal });
  const [file] = made.files;
  if (file === undefined) return undefined;
  const to = join(workDir, "loop-output");
  const begun = performance.now();
  const cpuBefore = process.cpuUsage();
  await redactFile(file.path, to, signal);
  const cpu = process.cpuUsage(cpuBefore);
  const ms = performance.now() - begun;
  const found = emptySum();
  await addFile(found, to, signal);
  const wrong = difference(made.expected, found);
  if (wrong !== undefined) throw new CodedError("data_loss", `bench pipeline: the plain loop: ${wrong}`);
  await rm(to);
  await rm(dir, { recursive: true });
  return { mbPerSecond: made.bytes / 1e3 / ms, cpuPerGb: (cpu.user + cpu.system) / 1e6 / (made.bytes / 1e9) };
}

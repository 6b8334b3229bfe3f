import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { BenchContext } from "../bench-context.js";
import { note } from "../report.js";
import { withSystem } from "../system/bench-system.js";
import { declaredFor, labelOf, type PipelineCase } from "./cases.js";
import { type DiskRates, diskRates, requireSpace } from "./disk-rate.js";
import { type Input, makeInput } from "./make-input.js";
import { type StreamFigures, measureStream } from "./measure-stream.js";
import { defaultPolicyHash } from "./probe-policy.js";

export interface CaseFigures extends StreamFigures {
  label: string;
  given: PipelineCase;
  /** Distinct input, read so often. */
  inputGb: number;
  passes: number;
  disk: DiskRates;
  policyHash: string;
}

/** Read side by side, as many as ingestion reads at once. */
export const inputFiles = 4;
/**
 * Live segments of both sides, the broker's streams, the sink's pool, and the file of the disk's own rate.
 */
const betweenBytes = 8e9;

/** Makes an input unless the last one is the same, which then is used again; the others go. */
export function createInputs({ options, workDir, signal }: BenchContext) {
  let last: { key: string; input: Input } | undefined;
  return async (given: { lineBytes: number; personal: number; gb: number }): Promise<Input> => {
    const { lineBytes, personal, gb } = given;
    const key = JSON.stringify({ lineBytes, personal, gb });
    if (last?.key === key) return last.input;
    if (last !== undefined) await rm(last.input.dir, { recursive: true });
    const made = { lineBytes, personal, files: inputFiles, seed: options.seed, signal };
    await requireSpace(workDir, gb * 1e9 + betweenBytes);
    note(`making ${gb} GB of input, lines of ${lineBytes} B, ${personal * 100} % with personal data`);
    const input = await makeInput({ ...made, dir: join(workDir, "input"), bytes: gb * 1e9 });
    last = { key, input };
    return input;
  };
}

/** Each case has a system of its own, so that memory and CPU are of that case alone. */
export async function runCase(
  context: BenchContext,
  inputOf: ReturnType<typeof createInputs>,
  given: PipelineCase,
): Promise<CaseFigures> {
  const { options, workDir, signal } = context;
  const { lineBytes, personal, mode, gb } = given;
  const label = labelOf(given);
  const inputGb = Math.min(options.inputGb, gb);
  const passes = Math.max(1, Math.round(gb / inputGb));
  const input = await inputOf({ lineBytes, personal, gb: inputGb });
  const { warmUp, workerThreads } = options;
  await requireSpace(workDir, betweenBytes + (mode === "kept" ? input.bytes * (warmUp + passes) : 0));
  const disk = await diskRates(workDir, signal);
  note(`${label}: starting the system`);
  const stateDir = join(workDir, "state");
  const measured = await withSystem(context, 1, async (system) => ({
    policyHash: await defaultPolicyHash(system.client, signal),
    ...(await measureStream(context, system, {
      stream: "bench-pipeline",
      declared: { ...declaredFor(mode), ...(workerThreads > 0 && { workerThreads }) },
      input,
      repeat: warmUp + passes,
      measured: { from: warmUp, to: warmUp + passes },
      isExempt: mode === "exempt",
      isKept: mode === "kept",
    })),
  }));
  await rm(stateDir, { recursive: true, force: true });
  return { label, given, inputGb: input.bytes / 1e9, passes, disk, ...measured };
}

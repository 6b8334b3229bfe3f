import type { BenchContext } from "../bench-context.js";
import { declaredFor } from "../pipeline/cases.js";
import { requireSpace } from "../pipeline/disk-rate.js";
import { measureStream, type StreamFigures } from "../pipeline/measure-stream.js";
import { createInputs } from "../pipeline/run-case.js";
import { cpuSum, touch } from "../pipeline/run-pipeline.js";
import { line, note, rounded, table } from "../report.js";
import { type BenchResult, keepResult } from "../results.js";
import { withSystem } from "../system/bench-system.js";

/** The most, of which a quarter and a sixteenth come before. */
const defaultGb = 16;
const spreadMax = 0.1;

/**
 * Whether work costs the same however much of it there is. One system, warmed up, so that one thing only
 * differs; each amount is a stream of its own. Rates are from when the first files were taken back: what
 * starting a stream takes is the same for each amount and no part of this question.
 */
export async function runGrowth(context: BenchContext): Promise<void> {
  const { options, workDir } = context;
  const touched = await touch(context);
  const lineBytes = options.sizes[0] ?? 1024;
  const { personal, mode } = options;
  const { gb: mostGb = defaultGb } = options;
  const grownGb = [mostGb / 16, mostGb / 4, mostGb];
  const amounts = [mostGb / 16, ...grownGb];
  const keptBytes = mode === "kept" ? amounts.reduce((sum, gb) => sum + gb * 1e9, 0) : 0;
  await requireSpace(workDir, keptBytes + 8e9);
  const inputOf = createInputs(context);
  const figures = await withSystem(context, 1, async (system) => {
    const measured: StreamFigures[] = [];
    for (const [at, gb] of amounts.entries()) {
      const inputGb = Math.min(gb, options.inputGb);
      const input = await inputOf({ lineBytes, personal, gb: inputGb });
      note(at === 0 ? "warming up" : `${gb} GB`);
      const run = {
        stream: `bench-growth-${at}`,
        declared: declaredFor(mode),
        input,
        repeat: Math.round(gb / inputGb),
        warmUp: 0,
        isExempt: mode === "exempt",
        isKept: mode === "kept",
      };
      measured.push(await measureStream(context, system, run));
      await system.client.streams.delete(run.stream);
    }
    return measured.slice(1);
  });
  const rates = figures.map(({ steadyMbPerSecond }) => steadyMbPerSecond);
  const spread = Math.max(...rates) / Math.min(...rates) - 1;
  line("");
  table([
    ["GB", "seconds", "MB/s", "MB/s once files are taken back", "CPU-s/GB"],
    ...figures.map((of) => [
      rounded(of.gb, 2),
      rounded(of.seconds),
      rounded(of.mbPerSecond),
      rounded(of.steadyMbPerSecond),
      rounded(cpuSum(of), 2),
    ]),
  ]);
  line(`spread: ${rounded(spread * 100)} % from the slowest to the fastest; the bar is ${spreadMax * 100} %`);
  for (const { checked } of figures) line(`checked: ${checked}`);
  const result: BenchResult = { bench: "growth", spread_pct: rounded(spread * 100) };
  for (const [at, gb] of grownGb.entries()) result[`mb_per_s_${gb}gb`] = rounded(rates[at] ?? 0);
  keepResult(context, result, {
    memory_touched_gb: rounded(touched),
    mode,
    message_bytes: lineBytes,
    personal,
    amounts: figures.map((of) => ({
      gb: rounded(of.gb, 3),
      seconds: rounded(of.seconds, 2),
      whole_mb_per_s: rounded(of.mbPerSecond),
      cpu_s_per_gb: rounded(cpuSum(of), 3),
    })),
  });
  if (spread > spreadMax) process.exitCode = 1;
}

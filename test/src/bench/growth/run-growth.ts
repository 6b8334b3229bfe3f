import type { BenchContext } from "../bench-context.js";
import { median } from "../percentiles.js";
import { declaredFor } from "../pipeline/cases.js";
import { requireSpace } from "../pipeline/disk-rate.js";
import { measureStream, type StreamFigures } from "../pipeline/measure-stream.js";
import { createInputs } from "../pipeline/run-case.js";
import { cpuSum, touch } from "../pipeline/run-pipeline.js";
import { line, note, rounded, table } from "../report.js";
import { type BenchResult, keepResult } from "../results.js";
import { withSystem } from "../system/bench-system.js";

/** The most, of which a quarter and a sixteenth are measured too. */
const defaultGb = 16;
const spreadMax = 0.1;
/** Of the sixteenth, the quarter and the whole: a window of two seconds tells the disk's mood as well. */
const roundsOf = [5, 3, 1] as const;
/** Passes over the input before what is measured, and GB at least that keep the stream going after it. */
const warmUp = 1;
const afterGb = 1;

/**
 * Whether work costs the same however much of it there is. Each amount is what is stored of a stream between
 * two moments of its flow: before the first its files were made and its programs compiled, after the second
 * it goes on. So starting a stream and the end of it, when no source takes its share any more, are no part
 * of the question. One system, so that the amount is all that differs; an amount's rate is the median of its
 * streams', which alternate.
 */
export async function runGrowth(context: BenchContext): Promise<void> {
  const { options, workDir } = context;
  const touched = await touch(context);
  const { personal, mode, gb: mostGb = defaultGb } = options;
  const lineBytes = options.sizes[0] ?? 1024;
  const amounts = [mostGb / 16, mostGb / 4, mostGb];
  const input = await createInputs(context)({ lineBytes, personal, gb: options.inputGb });
  const repeats = amounts.map((gb) => Math.ceil(warmUp + ((gb + afterGb) * 1e9) / input.bytes));
  const turns = turnsOf(roundsOf);
  const passes = turns.reduce((sum, at) => sum + (repeats[at] ?? 0), 0);
  if (mode === "kept") await requireSpace(workDir, passes * input.bytes);
  const measured = await withSystem(context, 1, async (system) => {
    const figures: StreamFigures[][] = amounts.map(() => []);
    for (const [turn, at] of turns.entries()) {
      const stream = `bench-growth-${turn}`;
      const gb = amounts[at] ?? 0;
      note(`${gb} GB, stream ${turn + 1} of ${turns.length}`);
      const run = {
        stream,
        declared: declaredFor(mode),
        input,
        repeat: repeats[at] ?? 0,
        measured: { from: warmUp, to: warmUp + (gb * 1e9) / input.bytes },
        isExempt: mode === "exempt",
        isKept: mode === "kept",
      };
      figures[at]?.push(await measureStream(context, system, run));
      await system.client.streams.delete(stream);
    }
    return figures;
  });
  const grown = amounts.map((gb, at) => grownBy(gb, measured[at] ?? []));
  const rates = grown.map(({ mbPerSecond }) => mbPerSecond);
  const spread = Math.max(...rates) / Math.min(...rates) - 1;
  show(grown, spread);
  const result: BenchResult = { bench: "growth", spread_pct: rounded(spread * 100) };
  for (const { gb, mbPerSecond } of grown) result[`mb_per_s_${gb}gb`] = rounded(mbPerSecond);
  keepResult(context, result, {
    memory_touched_gb: rounded(touched),
    mode,
    message_bytes: lineBytes,
    personal,
    amounts: grown.map(({ gb, streams }) => ({
      gb,
      streams: streams.map((of) => ({
        measured_gb: rounded(of.gb, 3),
        seconds: rounded(of.seconds, 2),
        mb_per_s: rounded(of.mbPerSecond),
        cpu_s_per_gb: rounded(cpuSum(of), 3),
      })),
    })),
  });
  if (spread > spreadMax) process.exitCode = 1;
}

/** Such as 0 1 2 0 1 0 of [3, 2, 1]: what is measured more than once is so at different times. */
function turnsOf(rounds: readonly number[]): number[] {
  const turns: number[] = [];
  for (let round = 0; round < Math.max(...rounds); round++) {
    for (const [at, most] of rounds.entries()) if (round < most) turns.push(at);
  }
  return turns;
}

interface Grown {
  gb: number;
  mbPerSecond: number;
  cpuPerGb: number;
  streams: StreamFigures[];
}

function grownBy(gb: number, streams: StreamFigures[]): Grown {
  const mbPerSecond = median(streams.map((of) => of.mbPerSecond));
  return { gb, mbPerSecond, cpuPerGb: median(streams.map(cpuSum)), streams };
}

function show(grown: readonly Grown[], spread: number): void {
  line("");
  table([
    ["GB", "MB/s, the median", "CPU-s/GB, the median", "MB/s of each stream"],
    ...grown.map(({ gb, mbPerSecond, cpuPerGb, streams }) => [
      gb,
      rounded(mbPerSecond),
      rounded(cpuPerGb, 2),
      streams.map((of) => rounded(of.mbPerSecond)).join(" "),
    ]),
  ]);
  line(`spread: ${rounded(spread * 100)} % from the slowest to the fastest; the bar is ${spreadMax * 100} %`);
  for (const { streams } of grown) for (const { checked } of streams) line(`checked: ${checked}`);
}

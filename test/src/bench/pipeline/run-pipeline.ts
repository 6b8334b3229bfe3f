import type { BenchContext } from "../bench-context.js";
import { line, note, rounded, table } from "../report.js";
import { type BenchResult, keepResult } from "../results.js";
import { touchMemory } from "../system/touched-memory.js";
import { casesOf, declaredFor } from "./cases.js";
import { type LoopFigures, measureLoop } from "./measure-loop.js";
import { type CaseFigures, createInputs, runCase } from "./run-case.js";

/** A figure of less is not called sustained. */
const sustainedSeconds = 60;

/** Files → ingestion → buffer → privacy → output files, and a plain loop beside it. */
export async function runPipeline(context: BenchContext): Promise<void> {
  const touched = await touch(context);
  const inputOf = createInputs(context);
  const figures: CaseFigures[] = [];
  const loops = new Map<string, LoopFigures | undefined>();
  for (const given of casesOf(context.options)) {
    const loopKey = `${given.lineBytes} ${given.personal}`;
    if (!loops.has(loopKey)) {
      note("plain loop");
      loops.set(loopKey, await measureLoop(context, given));
    }
    figures.push(await runCase(context, inputOf, given));
  }
  const loopOf = ({ given }: CaseFigures) => loops.get(`${given.lineBytes} ${given.personal}`);
  show(context, figures, loopOf);
  const result: BenchResult = { bench: "pipeline" };
  for (const of of figures) result[`mb_per_s_${of.label}`] = rounded(of.mbPerSecond);
  const [first] = figures;
  const loop = first && loopOf(first);
  if (loop !== undefined) result["node_loop_mb_per_s"] = rounded(loop.mbPerSecond);
  if (first !== undefined) {
    result["disk_new_mb_per_s"] = rounded(first.disk.newFiles);
    result["disk_recycled_mb_per_s"] = rounded(first.disk.recycledFiles);
    result["rss_anon_max_mb"] = rounded(rssAnonMax(first), 0);
  }
  const cases = figures.map((of) => detailsOf(of, loopOf(of)));
  keepResult(context, result, { policy: first?.policyHash, memory_touched_gb: rounded(touched), cases });
}

/** See `touchMemory`. */
export async function touch({ options, signal }: BenchContext): Promise<number> {
  if (!options.touch) return 0;
  note("touching free memory once, so that what follows does not measure the hypervisor");
  const { gb, seconds } = await touchMemory(signal);
  line(`memory:  ${rounded(gb)} GB touched once before, in ${rounded(seconds)} s`);
  return gb;
}

function show(
  { options }: BenchContext,
  figures: readonly CaseFigures[],
  loopOf: (of: CaseFigures) => LoopFigures | undefined,
): void {
  const [first] = figures;
  line(`policy:  default, every detector on, ${first?.policyHash ?? ""}`);
  line(`input:   seed ${options.seed}, ${rounded(first?.inputGb ?? 0)} GB of distinct lines, read in a loop`);
  line("disk:    its own rate, new and recycled files, synced each 16 MiB, measured just before each case");
  line(`warm-up: ${options.warmUp} passes before what is measured`);
  line("");
  const heads = ["GB", "passes", "seconds", "MB/s", "whole", "slowest 10 s", "disk new", "disk recycled"];
  table([
    ["case", ...heads, "CPU-s/GB", "plain loop MB/s", "loop CPU-s/GB", "watching CPU"],
    ...figures.map((of) => [
      of.label,
      rounded(of.gb, 2),
      of.passes,
      rounded(of.seconds),
      rounded(of.mbPerSecond),
      rounded(of.wholeMbPerSecond),
      rounded(of.slowestMbPerSecond),
      rounded(of.disk.newFiles),
      rounded(of.disk.recycledFiles),
      rounded(cpuSum(of), 2),
      rounded(loopOf(of)?.mbPerSecond ?? 0),
      rounded(loopOf(of)?.cpuPerGb ?? 0, 2),
      `${rounded(of.watchingCpuShare * 100)} % of a core`,
    ]),
  ]);
  for (const of of figures) {
    line("");
    line(`${of.label}: stream ${JSON.stringify(declaredFor(of.given.mode))}`);
    line(`${of.label}: ${of.checked}`);
    if (of.seconds < sustainedSeconds)
      note(`${of.label}: ${rounded(of.seconds)} s is short of ${sustainedSeconds} s: not a sustained figure`);
    showUse(of);
  }
}

export function cpuSum({ use, gb }: Pick<CaseFigures, "use" | "gb">): number {
  return [...use.values()].reduce((sum, { cpuSeconds }) => sum + cpuSeconds, 0) / gb;
}

function rssAnonMax({ use }: CaseFigures): number {
  const services = [...use].filter(([name]) => name !== "nats-server");
  return Math.max(...services.map(([, { rssAnonMb }]) => rssAnonMb));
}

function showUse(of: CaseFigures): void {
  table([
    ["process", "CPU-s", "CPU-s/GB", "of them in the kernel", "RssAnon max MB"],
    ...[...of.use].map(([name, { cpuSeconds, kernelSeconds, rssAnonMb }]) => [
      name,
      rounded(cpuSeconds),
      rounded(cpuSeconds / of.gb, 2),
      rounded(kernelSeconds / of.gb, 2),
      rounded(rssAnonMb, 0),
    ]),
  ]);
}

function detailsOf(of: CaseFigures, loop: LoopFigures | undefined): object {
  const processes = [...of.use].map(([name, { cpuSeconds, kernelSeconds, rssAnonMb }]) => ({
    name,
    cpu_s_per_gb: rounded(cpuSeconds / of.gb, 3),
    kernel_s_per_gb: rounded(kernelSeconds / of.gb, 3),
    rss_anon_max_mb: rounded(rssAnonMb, 0),
  }));
  return {
    case: of.label,
    mode: of.given.mode,
    personal: of.given.personal,
    message_bytes: of.given.lineBytes,
    gb: rounded(of.gb, 3),
    input_gb: rounded(of.inputGb, 3),
    seconds: rounded(of.seconds, 2),
    mb_per_s: rounded(of.mbPerSecond),
    with_warm_up_mb_per_s: rounded(of.wholeMbPerSecond),
    slowest_10s_mb_per_s: rounded(of.slowestMbPerSecond),
    cpu_s_per_gb: rounded(cpuSum(of), 3),
    ...(loop && {
      node_loop_mb_per_s: rounded(loop.mbPerSecond),
      node_loop_cpu_s_per_gb: rounded(loop.cpuPerGb, 3),
    }),
    disk_new_mb_per_s: rounded(of.disk.newFiles),
    disk_recycled_mb_per_s: rounded(of.disk.recycledFiles),
    watching_cpu_share: rounded(of.watchingCpuShare, 3),
    checked: of.checked,
    stream: declaredFor(of.given.mode),
    processes,
  };
}

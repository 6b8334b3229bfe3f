import type { BenchContext } from "../bench-context.js";
import { line, rounded, table } from "../report.js";
import { type BenchResult, keepResult } from "../results.js";
import { declared, runSize, type SizeFigures } from "./run-size.js";

/** Files → ingestion → buffer → privacy → output files, and a plain loop beside it. */
export async function runPipeline(context: BenchContext): Promise<void> {
  const figures: SizeFigures[] = [];
  // Each size has a system of its own, so that memory and CPU are of that size alone.
  for (const lineBytes of context.options.sizes) figures.push(await runSize(context, lineBytes));
  const [first] = figures;
  line(`stream:  ${JSON.stringify(declared)}`);
  line(`policy:  default, every detector on, ${first?.policyHash ?? ""}`);
  const { seed, personal } = context.options;
  line(`input:   seed ${seed}, ${personal * 100} % of the lines with personal data`);
  line("output:  every line stored once, synced, and equal to an independent redaction");
  line("");
  table([
    [
      "message",
      "GB",
      "lines",
      "seconds",
      "MB/s",
      "plain loop MB/s",
      "disk, new files MB/s",
      "CPU-s/GB",
      "loop CPU-s/GB",
    ],
    ...figures.map((of) => [
      `${of.lineBytes} B`,
      rounded(of.gb, 2),
      of.lines,
      rounded(of.seconds),
      rounded(of.mbPerSecond),
      rounded(of.loopMbPerSecond),
      rounded(of.diskMbPerSecond),
      rounded(cpuSum(of), 2),
      rounded(of.loopCpuPerGb, 2),
    ]),
  ]);
  for (const of of figures) showUse(of);
  const result: BenchResult = { bench: "pipeline" };
  for (const of of figures) result[`mb_per_s_${label(of)}`] = rounded(of.mbPerSecond);
  for (const of of figures) result[`node_loop_mb_per_s_${label(of)}`] = rounded(of.loopMbPerSecond);
  if (first !== undefined) result["disk_mb_per_s"] = rounded(first.diskMbPerSecond);
  keepResult(context, result, { stream: declared, policy: first?.policyHash, sizes: figures.map(detailsOf) });
}

/** 1kib for 1024; other sizes than whole KiB in bytes. */
function label({ lineBytes }: SizeFigures): string {
  return lineBytes % 1024 === 0 ? `${lineBytes / 1024}kib` : `${lineBytes}b`;
}

function cpuSum({ use, gb }: SizeFigures): number {
  return [...use.values()].reduce((sum, { cpuSeconds }) => sum + cpuSeconds, 0) / gb;
}

function showUse(of: SizeFigures): void {
  line("");
  table([
    [`${of.lineBytes} B: process`, "CPU-s", "CPU-s/GB", "of them in the kernel", "RssAnon max MB"],
    ...[...of.use].map(([name, { cpuSeconds, kernelSeconds, rssAnonMb }]) => [
      name,
      rounded(cpuSeconds),
      rounded(cpuSeconds / of.gb, 2),
      rounded(kernelSeconds / of.gb, 2),
      rounded(rssAnonMb, 0),
    ]),
  ]);
}

function detailsOf(of: SizeFigures): object {
  const processes = [...of.use].map(([name, { cpuSeconds, kernelSeconds, rssAnonMb }]) => ({
    name,
    cpu_s_per_gb: rounded(cpuSeconds / of.gb, 3),
    kernel_s_per_gb: rounded(kernelSeconds / of.gb, 3),
    rss_anon_max_mb: rounded(rssAnonMb, 0),
  }));
  return {
    message_bytes: of.lineBytes,
    gb: rounded(of.gb, 3),
    seconds: rounded(of.seconds, 2),
    mb_per_s: rounded(of.mbPerSecond),
    cpu_s_per_gb: rounded(cpuSum(of), 3),
    node_loop_mb_per_s: rounded(of.loopMbPerSecond),
    node_loop_cpu_s_per_gb: rounded(of.loopCpuPerGb, 3),
    disk_mb_per_s: rounded(of.diskMbPerSecond),
    processes,
  };
}

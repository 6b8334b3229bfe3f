import { execFile } from "node:child_process";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { crc32 } from "@millrace/files";
import { CodedError } from "@millrace/errors";
import type { MmapOptions } from "@millrace/sdk";
import type { BenchContext } from "../bench-context.js";
import { median } from "../percentiles.js";
import { requireSpace } from "../pipeline/disk-rate.js";
import { line, note, rounded, table } from "../report.js";
import { keepResult } from "../results.js";
import { checkSums, type MadeFile, makeFile, unitBytes } from "./make-file.js";
import type { SumAnswer, SumRequest } from "./sum-file.js";

const defaultGb = 4;
/** Of each way; the one in the middle counts, and all are kept. */
const passes = 3;
const bar = { gbPerSecond: 4, rssAnonGrowthMb: 64 };

interface Way {
  name: string;
  threads: number;
  options: MmapOptions;
}

interface Outcome extends Way {
  answers: SumAnswer[];
}

/**
 * A file through `mmapFile`, out of the page cache, each byte touched by a native checksum: with all cores,
 * with one, and by copies and plain reads to compare. Each chunk's checksum is compared with what was
 * written.
 */
export async function runLargeFile(context: BenchContext): Promise<void> {
  const { options, workDir, shape, signal } = context;
  const bytes = (options.gb ?? defaultGb) * 1e9;
  await requireSpace(workDir, bytes + unitBytes);
  const path = join(workDir, "large-file");
  note(`writing ${bytes / 1e9} GB`);
  const made = await makeFile({ path, bytes, seed: options.seed, signal });
  const ways: Way[] = [
    { name: "mapped", threads: shape.cores, options: {} },
    { name: "mapped", threads: 1, options: {} },
    { name: "copied", threads: shape.cores, options: { zeroCopy: false } },
    { name: "read", threads: shape.cores, options: { memoryMapping: false } },
  ];
  // So that the file is in the page cache, as far as that holds it.
  await sum({ path, made, signal }, { name: "read", threads: 1, options: { memoryMapping: false } });
  const outcomes: Outcome[] = [];
  for (const way of ways) {
    note(`${way.name}, ${way.threads} threads`);
    const answers: SumAnswer[] = [];
    for (let pass = 0; pass < passes; pass++) answers.push(await sum({ path, made, signal }, way));
    outcomes.push({ ...way, answers });
  }
  rmSync(path);
  report(context, made, outcomes);
}

interface File {
  path: string;
  made: MadeFile;
  signal: AbortSignal;
}

async function sum({ path, made, signal }: File, { threads, options }: Way): Promise<SumAnswer> {
  const request: SumRequest = { path, bytes: made.bytes, chunkBytes: unitBytes, threads, options };
  const program = fileURLToPath(new URL("./sum-file.js", import.meta.url));
  const run = promisify(execFile);
  const { stdout } = await run(process.execPath, [program, JSON.stringify(request)], { signal });
  const answer = JSON.parse(stdout) as SumAnswer;
  checkSums(made.sums, answer.sums);
  const wanted = options.memoryMapping === false ? "read" : "mapped";
  if (answer.dataPath === wanted) return answer;
  throw new CodedError("unimplemented", `bench: the file was ${answer.dataPath}, not ${wanted}`, {
    remedy: "Run it where koffi can be loaded.",
  });
}

function report(context: BenchContext, { bytes }: MadeFile, outcomes: readonly Outcome[]): void {
  const gbPerSecond = ({ seconds }: SumAnswer): number => bytes / 1e9 / seconds;
  const rate = ({ answers }: Outcome): number => median(answers.map(gbPerSecond));
  const growth = ({ answers }: Outcome): number => Math.max(...answers.map((each) => each.rssAnonGrowthMb));
  const perGb = ({ answers }: Outcome, seconds: (answer: SumAnswer) => number): number =>
    median(answers.map(seconds)) / (bytes / 1e9);
  const checksum = checksumRate();
  line(`file:    ${bytes / 1e9} GB, chunks of ${unitBytes / 1e6} MB, CRC-32 of each, out of the page cache`);
  line(`crc32:   ${rounded(checksum, 2)} GB/s of CPU time, of memory in the cache of a core`);
  line("");
  table([
    ["way", "threads", "GB/s", "passes", "user s/GB", "kernel s/GB", "RssAnon growth MB"],
    ...outcomes.map((outcome) => [
      outcome.name,
      outcome.threads,
      rounded(rate(outcome), 2),
      outcome.answers.map((answer) => rounded(gbPerSecond(answer), 2)).join(" "),
      rounded(
        perGb(outcome, ({ userSeconds }) => userSeconds),
        3,
      ),
      rounded(
        perGb(outcome, ({ kernelSeconds }) => kernelSeconds),
        3,
      ),
      rounded(growth(outcome)),
    ]),
  ]);
  const [mapped, single] = outcomes;
  if (mapped === undefined || single === undefined) return;
  const figures = { gb_per_s: rounded(rate(mapped), 2), rss_anon_growth_mb: rounded(growth(mapped)) };
  const isMet = figures.gb_per_s >= bar.gbPerSecond && figures.rss_anon_growth_mb < bar.rssAnonGrowthMb;
  const details = {
    gb_per_s_one_thread: rounded(rate(single), 2),
    crc32_gb_per_cpu_s: rounded(checksum, 2),
    bytes,
    bar,
    ways: outcomes.map(({ name, threads, answers }) => ({
      name,
      threads,
      passes: answers.map((answer) => ({ gb_per_s: rounded(gbPerSecond(answer), 2), ...used(answer) })),
    })),
  };
  keepResult(context, { bench: "largefile", ...figures, bar_met: isMet }, details);
  if (isMet) return;
  note(`below the bar: ${bar.gbPerSecond} GB/s and less than ${bar.rssAnonGrowthMb} MB of growth`);
  process.exitCode = 1;
}

function used({ userSeconds, kernelSeconds, rssAnonGrowthMb }: SumAnswer): object {
  return { user_s: userSeconds, kernel_s: kernelSeconds, rss_anon_growth_mb: rounded(rssAnonGrowthMb) };
}

/** What the checksum alone takes: nothing that touches each byte with it is faster on one core. */
function checksumRate(): number {
  const memory = Buffer.alloc(256 * 1024, 1);
  const rounds = 4_000;
  const before = process.cpuUsage();
  for (let round = 0; round < rounds; round++) crc32(memory);
  const { user, system } = process.cpuUsage(before);
  return (memory.length * rounds) / 1e3 / (user + system);
}

import { rm } from "node:fs/promises";
import { join } from "node:path";
import { adminUser, defaultTenant } from "@millrace/messaging";
import { CodedError } from "@millrace/errors";
import { createStreamProcessor, type StreamOptions } from "@millrace/sdk";
import type { BenchContext } from "../bench-context.js";
import { note, rounded } from "../report.js";
import { type BenchSystem, withSystem } from "../system/bench-system.js";
import { type ProcessUse, watchUse } from "../system/process-use.js";
import { diskRate, requireSpace } from "./disk-rate.js";
import { addFile, difference, emptySum } from "./line-sum.js";
import { type Input, type InputFile, makeInput } from "./make-input.js";
import { redactFile } from "./plain-loop.js";
import { defaultPolicyHash } from "./probe-policy.js";
import { stageCounts, untilStored } from "./stored-watch.js";
import { sumStored, untilPublished } from "./stored-files.js";

export interface SizeFigures {
  lineBytes: number;
  gb: number;
  lines: number;
  seconds: number;
  mbPerSecond: number;
  loopMbPerSecond: number;
  /** CPU seconds of the loop for a GB, its syncs included. */
  loopCpuPerGb: number;
  diskMbPerSecond: number;
  policyHash: string;
  use: Map<string, ProcessUse>;
}

/** Read side by side, as many as ingestion reads at once. */
const inputFiles = 4;

/** As declared: what is not named has its default, so every detector is on. */
export const declared: StreamOptions = {
  processingMode: "batch",
  batchSize: 8192,
  enrichments: { embeddings: false, sentiment: false },
  outputs: {
    storage: { format: "lines", rollAge: "2s" },
    results: false,
    artifacts: false,
    search: false,
    events: false,
  },
};

/**
 * The pipeline, then the plain loop, over the same input; each must give the lines that the input foretells.
 */
export async function runSize(context: BenchContext, lineBytes: number): Promise<SizeFigures> {
  const { options, workDir, signal } = context;
  const bytes = options.gb * 1e9;
  // Input, output, and what is in between: live segments of both sides and the broker.
  await requireSpace(workDir, 2 * bytes + 4e9);
  note(`${lineBytes} B: making ${options.gb} GB of input`);
  const { personal, seed } = options;
  const made = { dir: join(workDir, "input"), lineBytes, bytes, files: inputFiles, personal, seed, signal };
  const input = await makeInput(made);
  const diskMbPerSecond = await diskRate(workDir, signal);
  note(`${lineBytes} B: starting the system`);
  const measured = await withSystem(context, 1, (system) => measurePipeline(context, system, input));
  await rm(join(workDir, "state"), { recursive: true, force: true });
  note(`${lineBytes} B: plain loop`);
  const loop = await measureLoop(context, input.files);
  await rm(input.dir, { recursive: true, force: true });
  return {
    lineBytes,
    gb: input.bytes / 1e9,
    lines: input.lines,
    ...measured,
    mbPerSecond: input.bytes / 1e6 / measured.seconds,
    ...loop,
    diskMbPerSecond,
  };
}

type Measured = Pick<SizeFigures, "seconds" | "policyHash" | "use">;

async function measurePipeline(
  { signal }: BenchContext,
  system: BenchSystem,
  input: Input,
): Promise<Measured> {
  const { client, stateDir } = system;
  const policyHash = await defaultPolicyHash(client, signal);
  const broker = await system.broker(adminUser);
  const stream = "bench-pipeline";
  await using processor = await createStreamProcessor(stream, client, declared);
  const watch = watchUse(stateDir);
  // Earlier than the first byte is accepted, and the end later than the last is stored: the rate is a floor.
  const begun = performance.now();
  let shown = begun;
  const ending = untilStored(broker, {
    stream,
    lines: input.lines,
    signal,
    onProgress: (stored) => {
      if (performance.now() - shown < 2_000) return;
      shown = performance.now();
      const share = stored / input.lines;
      const rate = (input.bytes * share) / 1e3 / (shown - begun);
      note(`  ${rounded(share * 100)} % stored, ${rounded(rate)} MB/s so far`);
    },
  });
  const [ended] = await Promise.all([
    ending,
    processor.addFileSource({ path: input.dir, pattern: "*.jsonl", pollInterval: "100ms" }),
  ]);
  const use = watch.stop();
  const counts = await stageCounts(broker, stream);
  const lost = Object.keys(counts).filter((name) => name.includes("dead") || name.includes("dropped"));
  if (lost.length > 0) throw mismatch(`some lines were not stored: ${JSON.stringify(counts)}`);
  const dir = join(stateDir, "data", "output", defaultTenant, stream);
  await untilPublished(dir, signal);
  note("  checking what was stored");
  const wrong = difference(input.expected, await sumStored(dir, signal));
  if (wrong !== undefined) throw mismatch(`stored: ${wrong}`);
  return { seconds: (ended - begun) / 1e3, policyHash, use };
}

type Loop = Pick<SizeFigures, "loopMbPerSecond" | "loopCpuPerGb">;

/** As many whole files as fit the loop's share of the input, one at least. */
async function measureLoop(context: BenchContext, files: readonly InputFile[]): Promise<Loop> {
  const { workDir, signal, options } = context;
  let bytes = 0;
  let ms = 0;
  let cpuSeconds = 0;
  for (const file of files) {
    if (bytes > 0 && bytes + file.bytes > options.loopGb * 1e9) break;
    const to = join(workDir, "loop-output");
    const begun = performance.now();
    const cpuBefore = process.cpuUsage();
    await redactFile(file.path, to, signal);
    const cpu = process.cpuUsage(cpuBefore);
    ms += performance.now() - begun;
    cpuSeconds += (cpu.user + cpu.system) / 1e6;
    bytes += file.bytes;
    const found = emptySum();
    await addFile(found, to, signal);
    await rm(to);
    const wrong = difference(file.expected, found);
    if (wrong !== undefined) throw mismatch(`the plain loop: ${wrong}`);
  }
  return { loopMbPerSecond: bytes / 1e3 / ms, loopCpuPerGb: cpuSeconds / (bytes / 1e9) };
}

function mismatch(what: string): CodedError {
  return new CodedError("data_loss", `bench pipeline: no figure, since the output is wrong. ${what}`);
}

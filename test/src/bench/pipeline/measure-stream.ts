import { rm } from "node:fs/promises";
import { join } from "node:path";
import { CodedError } from "@millrace/errors";
import { adminUser, defaultTenant } from "@millrace/messaging";
import { createStreamProcessor, type StreamOptions } from "@millrace/sdk";
import type { BenchContext } from "../bench-context.js";
import { note, rounded } from "../report.js";
import type { BenchSystem } from "../system/bench-system.js";
import type { ProcessUse } from "../system/process-use.js";
import { difference, type LineSum, timesSum } from "./line-sum.js";
import type { Input } from "./make-input.js";
import { redactPlainly } from "./plain-loop.js";
import { checkManifests, checkSample } from "./stored/check-parts.js";
import { type PartManifest, watchParts } from "./stored/part-watch.js";
import { slowestRate, type StoredSample } from "./stored/rates.js";
import { sumStored } from "./stored/stored-files.js";
import { stageCounts, untilStored } from "./stored/stored-watch.js";
import { watchMeasured } from "./watch-measured.js";

export interface StreamRun {
  stream: string;
  declared: StreamOptions;
  input: Input;
  /** Passes over the input. */
  repeat: number;
  /**
   * From which pass to which it is measured, in passes that are stored; what comes before warms up: programs
   * compile, files are made.
   */
  measured: { from: number; to: number };
  /** Nothing is redacted. */
  isExempt: boolean;
  /** Every part stays, so every line of it is checked. */
  isKept: boolean;
}

export interface StreamFigures {
  /** What was measured. */
  gb: number;
  seconds: number;
  mbPerSecond: number;
  /** Of all passes, from the first byte to the end. */
  wholeMbPerSecond: number;
  /** In the slowest 10 s. */
  slowestMbPerSecond: number;
  /** CPU of this process while it was measured, as a share of one core: watching costs something too. */
  watchingCpuShare: number;
  use: Map<string, ProcessUse>;
  checked: string;
}

const slowestMs = 10_000;
/** Compared line by line beside the parts that were put aside. */
const othersMax = 2;

/**
 * Passes the input through a new stream, and throws unless every line of it is stored once and as foretold.
 */
export async function measureStream(
  context: BenchContext,
  system: BenchSystem,
  run: StreamRun,
): Promise<StreamFigures> {
  const { signal } = context;
  const { stream, input, repeat, measured } = run;
  const dir = join(system.stateDir, "data", "output", defaultTenant, stream);
  const broker = await system.broker(adminUser);
  await using processor = await createStreamProcessor(stream, system.client, run.declared);
  const samplesDir = join(context.workDir, "samples", stream);
  const parts = watchParts(dir, signal, samplesDir);
  try {
    const bytes = input.bytes * repeat;
    const lines = input.lines * repeat;
    // Earlier than the first byte is accepted, and the end later than the last is stored: the rate is a
    // floor.
    const begun = performance.now();
    const use = watchMeasured(system.stateDir, {
      from: input.lines * measured.from,
      to: input.lines * measured.to,
    });
    const show = progress(begun, { bytes, lines });
    const onProgress = (sample: StoredSample): void => {
      use.see(sample);
      show(sample.stored);
    };
    const ending = untilStored(broker, { stream, lines, signal, onProgress });
    const source = { path: input.dir, pattern: "*.jsonl", pollInterval: "1s", repeat } as const;
    const [samples] = await Promise.all([ending, processor.addFileSource(source)]);
    const end = samples.at(-1)?.ms ?? begun;
    const { first, last, watchingCpuSeconds, byProcess } = use.stop();
    const counts = await stageCounts(broker, stream);
    const lost = Object.keys(counts).filter((name) => name.includes("dead") || name.includes("dropped"));
    if (lost.length > 0 || counts["store"] !== lines)
      throw mismatch(`not every line was stored once: ${JSON.stringify(counts)}`);
    note("  checking what was stored");
    const checked = await check(run, {
      dir,
      samplesDir,
      manifests: await parts.untilPublished(lines),
      signal,
    });
    const mbPerMessage = bytes / lines / 1e6;
    const mb = (last.stored - first.stored) * mbPerMessage;
    const seconds = (last.ms - first.ms) / 1e3;
    const within = samples.filter(({ ms }) => ms >= first.ms && ms <= last.ms);
    return {
      gb: mb / 1e3,
      seconds,
      mbPerSecond: mb / seconds,
      wholeMbPerSecond: bytes / 1e3 / (end - begun),
      slowestMbPerSecond: slowestRate(within, slowestMs) * mbPerMessage,
      watchingCpuShare: watchingCpuSeconds / seconds,
      use: byProcess,
      checked,
    };
  } finally {
    parts.stop();
    await rm(samplesDir, { recursive: true, force: true });
  }
}

function progress(begun: number, { bytes, lines }: { bytes: number; lines: number }) {
  let shown = begun;
  return (stored: number): void => {
    if (performance.now() - shown < 5_000) return;
    shown = performance.now();
    const share = stored / lines;
    const rate = (bytes * share) / 1e3 / (shown - begun);
    note(`  ${rounded(share * 100)} % stored, ${rounded(rate)} MB/s so far`);
  };
}

interface Published {
  dir: string;
  samplesDir: string;
  manifests: PartManifest[];
  signal: AbortSignal;
}

/** What was checked, in words; throws at the first thing that is wrong. */
async function check(run: StreamRun, { dir, samplesDir, manifests, signal }: Published): Promise<string> {
  const { input, repeat, isExempt, isKept } = run;
  const expected: LineSum = timesSum(isExempt ? input.raw : input.expected, repeat);
  const positions = (input.bytes / input.files.length) * repeat;
  const sources = input.files.length;
  const foretold = { messages: expected.lines, bytes: expected.bytes, sources, positions };
  const wrong = checkManifests(manifests, foretold);
  if (wrong !== undefined) throw mismatch(`manifests: ${wrong}`);
  const redact = isExempt ? (line: string): string => line : redactPlainly;
  const chosen = { dir, samplesDir, manifests, input, redact, othersMax, seed: expected.lines, signal };
  const sample = await checkSample(chosen);
  if (typeof sample === "string") throw mismatch(`stored: ${sample}`);
  if (sample.checked === 0) throw mismatch("no part is there to be read");
  const counted = `${expected.lines} lines stored once, by the LEDGER and ${manifests.length} manifests`;
  if (!isKept) return `${counted}; ${sample.lines} lines of ${sample.checked} parts compared one by one`;
  const different = difference(expected, await sumStored(dir, signal));
  if (different !== undefined) throw mismatch(`stored: ${different}`);
  return `${counted}; all lines equal to an independent redaction, by their sum`;
}

function mismatch(what: string): CodedError {
  return new CodedError("data_loss", `bench pipeline: no figure, since the output is wrong. ${what}`);
}

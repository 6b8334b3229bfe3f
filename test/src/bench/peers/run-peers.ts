import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { CodedError } from "@millrace/errors";
import type { BenchContext } from "../bench-context.js";
import { declaredFor } from "../pipeline/cases.js";
import { requireSpace } from "../pipeline/disk-rate.js";
import { addFile, difference, emptySum } from "../pipeline/line-sum.js";
import { type Input, makeInput } from "../pipeline/make-input.js";
import { measureStream, type StreamFigures } from "../pipeline/measure-stream.js";
import { plainPatterns, redactFile } from "../pipeline/plain-loop.js";
import { inputFiles } from "../pipeline/run-case.js";
import { touch } from "../pipeline/run-pipeline.js";
import { line, note, rounded, table } from "../report.js";
import { type BenchResult, keepResult } from "../results.js";
import { withSystem } from "../system/bench-system.js";
import { type Engine, engines, obtainPython, runEngine } from "./engines.js";
import { lineOfJson } from "./json-lines.js";

const defaultGb = 40;
/** Bars: as much as the better engine, so many times. */
const wallBar = 20;
const cpuBar = 10;

interface PeerFigures {
  name: string;
  gb: number;
  seconds: number;
  cpuSeconds: number;
  mbPerSecond: number;
  mbPerCpuSecond: number;
  rssMaxMb: number;
}

/**
 * The same lines and redactions through both engines, the plain loop and Millrace, one after the other on the
 * same machine. Each output has to have the sum of the lines that the input foretells, so all are equal.
 */
export async function runPeers(context: BenchContext): Promise<void> {
  const { options, workDir, signal } = context;
  const python = await obtainPython(context);
  const { inputGb, personal, seed } = options;
  const lineBytes = options.sizes[0] ?? 1024;
  await requireSpace(workDir, 4 * inputGb * 1e9 + 8e9);
  const touched = await touch(context);
  note(`making ${inputGb} GB of input`);
  const made = { dir: join(workDir, "input"), lineBytes, bytes: inputGb * 1e9, personal, seed, signal };
  const input = await makeInput({ ...made, files: inputFiles });
  const figures: PeerFigures[] = [];
  for (const engine of engines) figures.push(await engineFigures(context, { python, engine, input }));
  figures.push(await loopFigures(context, input));
  const millrace = await millraceFigures(context, input);
  figures.push(...millrace);
  show(context, figures);
  const measured = millrace.at(-1);
  const best = (of: (figures: PeerFigures) => number): number => Math.max(...figures.slice(0, 2).map(of));
  const wall = (measured?.mbPerSecond ?? 0) / best(({ mbPerSecond }) => mbPerSecond);
  const cpu = (measured?.mbPerCpuSecond ?? 0) / best(({ mbPerCpuSecond }) => mbPerCpuSecond);
  line(`Millrace against the better engine: ${rounded(wall)} × MB/s, ${rounded(cpu)} × MB per CPU-second`);
  const result: BenchResult = { bench: "peers", times_wall: rounded(wall), times_cpu: rounded(cpu) };
  for (const { name, mbPerSecond } of figures) result[`mb_per_s_${name}`] = rounded(mbPerSecond);
  keepResult(context, result, {
    memory_touched_gb: rounded(touched),
    message_bytes: lineBytes,
    figures: figures.map((of) => ({
      name: of.name,
      gb: rounded(of.gb, 3),
      seconds: rounded(of.seconds, 2),
      mb_per_s: rounded(of.mbPerSecond),
      mb_per_cpu_s: rounded(of.mbPerCpuSecond),
      rss_max_mb: rounded(of.rssMaxMb, 0),
    })),
  });
  if (wall < wallBar || cpu < cpuBar) {
    note(`the bars are ${wallBar} × and ${cpuBar} ×`);
    process.exitCode = 1;
  }
}

function figuresOf(
  name: string,
  of: { gb: number; seconds: number; cpuSeconds: number; rssMaxMb: number },
): PeerFigures {
  const mb = of.gb * 1e3;
  return { name, ...of, mbPerSecond: mb / of.seconds, mbPerCpuSecond: mb / of.cpuSeconds };
}

async function engineFigures(
  context: BenchContext,
  { python, engine, input }: { python: string; engine: Engine; input: Input },
): Promise<PeerFigures> {
  const { workDir, signal } = context;
  note(engine);
  const patterns = join(workDir, "patterns.json");
  const sources = plainPatterns.map(({ pattern, ...rest }) => ({ source: pattern.source, ...rest }));
  await writeFile(patterns, JSON.stringify(sources));
  const measured = await runEngine(context, { python, engine, patterns, input });
  const sum = emptySum();
  for (const path of measured.outputs) {
    await addFile(sum, path, signal, engine === "pathway" ? lineOfJson : undefined);
    await rm(path);
  }
  requireSame(engine, difference(input.expected, sum));
  return figuresOf(engine, { gb: input.bytes / 1e9, ...measured });
}

async function loopFigures({ workDir, signal }: BenchContext, input: Input): Promise<PeerFigures> {
  note("plain Node loop");
  const before = process.cpuUsage();
  const begun = performance.now();
  const outputs = input.files.map((_, at) => join(workDir, `loop-output-${at}`));
  for (const [at, { path }] of input.files.entries()) await redactFile(path, outputs[at] ?? "", signal);
  const seconds = (performance.now() - begun) / 1e3;
  const cpu = process.cpuUsage(before);
  const sum = emptySum();
  for (const path of outputs) {
    await addFile(sum, path, signal);
    await rm(path);
  }
  requireSame("the plain loop", difference(input.expected, sum));
  const rssMaxMb = process.resourceUsage().maxRSS / 1e3;
  return figuresOf("node_loop", {
    gb: input.bytes / 1e9,
    seconds,
    cpuSeconds: (cpu.user + cpu.system) / 1e6,
    rssMaxMb,
  });
}

/** One pass with all parts kept, whose lines are all compared; then the sustained rate, in a loop. */
async function millraceFigures(context: BenchContext, input: Input): Promise<PeerFigures[]> {
  const repeat = Math.max(1, Math.round(((context.options.gb ?? defaultGb) * 1e9) / input.bytes));
  return await withSystem(context, 1, async (system) => {
    const measure = (mode: "kept" | "recycled", passes: number): Promise<StreamFigures> => {
      note(`Millrace, ${mode === "kept" ? "one pass, all lines compared" : `${passes} passes`}`);
      const stream = `bench-peers-${mode}`;
      const declared = declaredFor(mode);
      const isKept = mode === "kept";
      return measureStream(context, system, {
        stream,
        declared,
        input,
        repeat: passes,
        measured: { from: 0, to: passes },
        isExempt: false,
        isKept,
      });
    };
    const once = await measure("kept", 1);
    const looped = await measure("recycled", repeat);
    return [wholeSystem("millrace_one_pass", once), wholeSystem("millrace", looped)];
  });
}

/** The broker and every service together. */
function wholeSystem(name: string, { gb, seconds, use }: StreamFigures): PeerFigures {
  const used = [...use.values()];
  const cpuSeconds = used.reduce((sum, process) => sum + process.cpuSeconds, 0);
  const rssMaxMb = used.reduce((sum, process) => sum + process.rssAnonMb, 0);
  return figuresOf(name, { gb, seconds, cpuSeconds, rssMaxMb });
}

function show({ options }: BenchContext, figures: readonly PeerFigures[]): void {
  line(`input:   seed ${options.seed}, ${options.personal * 100} % of the lines with personal data`);
  line("engines: a process a core, from when it had imported everything; output not synced");
  line(
    "loop:    one thread, synced each 16 MiB; Millrace: whole system, synced, hashed, findings, passports",
  );
  line("checked: each output has the sum of lines that the input foretells");
  line("");
  table([
    ["system", "GB", "seconds", "MB/s", "CPU-s", "MB per CPU-s", "memory max MB"],
    ...figures.map((of) => [
      of.name,
      rounded(of.gb, 2),
      rounded(of.seconds),
      rounded(of.mbPerSecond),
      rounded(of.cpuSeconds),
      rounded(of.mbPerCpuSecond),
      rounded(of.rssMaxMb, 0),
    ]),
  ]);
}

function requireSame(name: string, wrong: string | undefined): void {
  if (wrong === undefined) return;
  throw new CodedError("data_loss", `bench peers: no figure, since the output of ${name} is wrong: ${wrong}`);
}

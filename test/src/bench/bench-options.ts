import { parseArgs } from "node:util";
import { CodedError } from "@millrace/errors";
import type { PipelineMode } from "./pipeline/cases.js";

export interface BenchOptions {
  /** Bytes that pass through, in GB of 10^9 bytes; by bench and mode where none are given. */
  gb: number | undefined;
  /** Distinct input at most, in GB; it is read in a loop for more. */
  inputGb: number;
  /** Passes over the input that `pipeline` does not measure: programs compile, files are made. */
  warmUp: number;
  /** Where the parts of `pipeline` and `growth` go. */
  mode: PipelineMode;
  /** Message sizes of `pipeline`, in bytes; `growth` takes the first. */
  sizes: number[];
  /** Share of the lines that hold personal data. */
  personal: number;
  /** Threads of privacy that the stream asks for; 0: none, its own thread redacts. */
  workerThreads: number;
  /** Whether `pipeline` runs each case of which a figure is kept. */
  suite: boolean;
  /** Input of the plain loop, in GB; 0 leaves it out. */
  loopGb: number;
  /** Messages a second of `latency` and `publish`; by bench where none are given. */
  rate: number | undefined;
  /** Seconds measured by `latency`, `publish` and, twice, `subscribers`, after 10 s that are not. */
  seconds: number;
  seed: number;
  basePort: number;
  /** Whether free memory is touched once before. */
  touch: boolean;
  /** Where the run's directory is made; default: the system's temporary directory. */
  dir: string | undefined;
  /** Directory for a CPU profile of each service. */
  profile: string | undefined;
  /** Whether the result is added to test/bench/results. */
  keep: boolean;
}

export const usage = `npm run bench -- pipeline | growth | stage | latency | publish | peers | search |
                   largefile | subscribers | kafka […]
  --gb <n>         GB that pass through; pipeline: recycled 40, kept 28, exempt 64; peers: 40; growth: 16,
                   and a sixteenth and a quarter of it; stage: 0.6; kafka: 0.25; largefile: GB of the file (4)
  --input-gb <n>   pipeline, growth, peers: GB of distinct input, read in a loop (4); peers (1)
  --warm-up <n>    pipeline: passes over the input before what is measured (1)
  --mode <m>       pipeline, growth: recycled | kept | exempt (recycled): parts in files that are taken back,
                   in files that stay, and in files that are taken back from a stream without filter
  --sizes <list>   pipeline, growth, stage: bytes a message, such as 1024,16384 (1024)
  --personal <n>   pipeline, growth, stage: share of lines with personal data (0.05)
  --threads <n>    pipeline: workerThreads of the stream (0)
  --suite          pipeline: each case of which a figure is kept, one after the other
  --loop-gb <n>    pipeline: input of the plain loop, 0 for none (0.5)
  --rate <n>       latency: messages a second (1000); publish (20000)
  --seconds <n>    latency, publish, subscribers: measured, after 10 s that are not (60)
  --seed <n>       1
  --base-port <n>  first of 12 ports (7270)
  --dir <dir>      where temporary files go
  --no-touch       leaves out touching free memory before
  --profile <dir>  writes a CPU profile of each service; figures are lower then
  --no-keep        does not add the result to test/bench/results`;

const text = { type: "string" } as const;
const flag = { type: "boolean" } as const;
const numbers = {
  gb: text,
  "input-gb": text,
  "warm-up": text,
  personal: text,
  threads: text,
  "loop-gb": text,
  rate: text,
  seconds: text,
  seed: text,
  "base-port": text,
} as const;
const known = {
  ...numbers,
  mode: text,
  sizes: text,
  dir: text,
  profile: text,
  suite: flag,
  "no-touch": flag,
  "no-keep": flag,
} as const;

/** @throws CodedError invalid_argument, with the usage as its remedy. */
export function parseBench(args: readonly string[]): { name: string; options: BenchOptions } {
  const { values, positionals } = parse(args);
  const given = (name: keyof typeof numbers): number | undefined => {
    const value = values[name];
    if (value === undefined) return undefined;
    if (value !== "" && Number.isFinite(Number(value)) && Number(value) >= 0) return Number(value);
    throw refused(`--${name} is ${value}`);
  };
  const [name = "", ...others] = positionals;
  if (others.length > 0) throw refused(`unknown argument ${others.join(" ")}`);
  const gb = given("gb");
  const inputGb = given("input-gb") ?? (name === "peers" ? 1 : 4);
  if (gb === 0 || inputGb === 0) throw refused("--gb and --input-gb are above 0");
  return {
    name,
    options: {
      gb,
      inputGb,
      warmUp: Math.round(given("warm-up") ?? 1),
      mode: modeOf(values.mode ?? "recycled"),
      sizes: sizesOf(values.sizes ?? "1024"),
      personal: Math.min(1, given("personal") ?? 0.05),
      workerThreads: Math.round(given("threads") ?? 0),
      suite: values.suite === true,
      loopGb: given("loop-gb") ?? 0.5,
      rate: given("rate"),
      seconds: given("seconds") ?? 60,
      seed: given("seed") ?? 1,
      basePort: given("base-port") ?? 7270,
      touch: values["no-touch"] !== true,
      dir: values.dir,
      profile: values.profile,
      keep: values["no-keep"] !== true && values.profile === undefined,
    },
  };
}

function modeOf(mode: string): PipelineMode {
  if (mode === "recycled" || mode === "kept" || mode === "exempt") return mode;
  throw refused(`--mode is ${mode}`);
}

function sizesOf(list: string): number[] {
  const sizes = list.split(",").map(Number);
  if (sizes.every((size) => Number.isInteger(size) && size >= 512 && size <= 262_144)) return sizes;
  throw refused("--sizes are from 512 to 262144 bytes");
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options: known, allowPositionals: true, strict: true });
  } catch (caught) {
    throw refused(caught instanceof Error ? caught.message : String(caught));
  }
}

export function refused(problem: string): CodedError {
  return new CodedError("invalid_argument", `bench: ${problem}`, { field: "arguments", remedy: usage });
}

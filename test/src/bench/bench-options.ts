import { parseArgs } from "node:util";
import { CodedError } from "@millrace/errors";

export interface BenchOptions {
  /** Input of each size, in GB of 10^9 bytes. */
  gb: number;
  /** Message sizes of `pipeline`, in bytes. */
  sizes: number[];
  /** Share of the lines that hold personal data. */
  personal: number;
  /** Input of the plain loop at most, in GB. */
  loopGb: number;
  /** Messages a second of `latency`. */
  rate: number;
  /** Seconds measured by `latency`, after 10 s that are not. */
  seconds: number;
  seed: number;
  basePort: number;
  /** Where the run's directory is made; default: the system's temporary directory. */
  dir: string | undefined;
  /** Directory for a CPU profile of each service. */
  profile: string | undefined;
  /** Whether the result is added to test/bench/results. */
  keep: boolean;
}

export const usage = `npm run bench -- pipeline | latency | search [options]
  --gb <n>         pipeline: input of each size, in GB (4)
  --sizes <list>   pipeline: bytes a message, such as 1024,16384
  --personal <n>   pipeline: share of lines with personal data (0.05)
  --loop-gb <n>    pipeline: input of the plain loop at most (0.5)
  --rate <n>       latency: messages a second (200)
  --seconds <n>    latency: measured, after 10 s that are not (60)
  --seed <n>       1
  --base-port <n>  first of 12 ports (7270)
  --dir <dir>      where temporary files go
  --profile <dir>  writes a CPU profile of each service; figures are lower then
  --no-keep        does not add the result to test/bench/results`;

const text = { type: "string" } as const;
const known = {
  gb: text,
  sizes: text,
  personal: text,
  "loop-gb": text,
  rate: text,
  seconds: text,
  seed: text,
  "base-port": text,
  dir: text,
  profile: text,
  "no-keep": { type: "boolean" },
} as const;

/** @throws CodedError invalid_argument, with the usage as its remedy. */
export function parseBench(args: readonly string[]): { name: string; options: BenchOptions } {
  const { values, positionals } = parse(args);
  const number = (name: Exclude<keyof typeof known, "no-keep">, otherwise: number): number => {
    const given = values[name];
    const value = given === undefined ? otherwise : Number(given);
    if (Number.isFinite(value) && value >= 0) return value;
    throw refused(`--${name} is ${String(given)}`);
  };
  const sizes = (values.sizes ?? "1024,16384").split(",").map(Number);
  if (sizes.some((size) => !Number.isInteger(size) || size < 512 || size > 262_144)) {
    throw refused("--sizes are from 512 to 262144 bytes");
  }
  const [name = "", ...others] = positionals;
  if (others.length > 0) throw refused(`unknown argument ${others.join(" ")}`);
  return {
    name,
    options: {
      gb: number("gb", 4),
      sizes,
      personal: Math.min(1, number("personal", 0.05)),
      loopGb: number("loop-gb", 0.5),
      rate: number("rate", 200),
      seconds: number("seconds", 60),
      seed: number("seed", 1),
      basePort: number("base-port", 7270),
      dir: values.dir,
      profile: values.profile,
      keep: values["no-keep"] !== true && values.profile === undefined,
    },
  };
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

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { link, mkdir, rename, rm } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { hash } from "node:crypto";
import { basename, join } from "node:path";
import { cacheDir } from "@millrace/cli/local";
import { CodedError } from "@millrace/errors";
import type { BenchContext } from "../bench-context.js";
import type { Input } from "../pipeline/make-input.js";
import { note } from "../report.js";

export const engines = ["bytewax", "pathway"] as const;
export type Engine = (typeof engines)[number];

export interface EngineFigures {
  seconds: number;
  cpuSeconds: number;
  rssMaxMb: number;
  outputs: string[];
}

/** Of one process, as test/bench/peers/measured.py prints it. */
interface Measured {
  seconds: number;
  cpu_seconds: number;
  rss_max_mb: number;
}

const scripts = (root: string): string => join(root, "test", "bench", "peers");

/** A Python with both engines, in the cache: made by pip at the first time, from pinned versions. */
export async function obtainPython({ root, signal }: BenchContext): Promise<string> {
  const requirements = join(scripts(root), "requirements.txt");
  const pins = hash("sha256", readFileSync(requirements)).slice(0, 12);
  const venv = join(cacheDir(root, process.env), "peers", pins);
  const python = join(venv, "bin", "python");
  if (existsSync(python)) return python;
  note(`peers: installing ${engines.join(" and ")} with pip, about 1.6 GB`);
  // Moved to its place when it is whole. Scripts with absolute paths in them are not used.
  const making = `${venv}.making`;
  await rm(making, { recursive: true, force: true });
  await run("python3", ["-m", "venv", making], signal);
  const pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", requirements];
  await run(join(making, "bin", "python"), pip, signal);
  await rename(making, venv);
  return python;
}

async function run(command: string, args: string[], signal: AbortSignal): Promise<void> {
  const remedy = "Install Python 3.9 to 3.13 with venv and pip, and let pip reach a package index.";
  const child = spawn(command, args, { stdio: ["ignore", "inherit", "inherit"], signal });
  const [code] = (await once(child, "exit").catch((cause: unknown) => {
    signal.throwIfAborted();
    throw new CodedError("unavailable", `peers: ${command} cannot be started`, { remedy, cause });
  })) as [number | null];
  if (code === 0) return;
  throw new CodedError("unavailable", `peers: ${command} ${args.join(" ")} failed`, { remedy });
}

export interface EngineRun {
  python: string;
  engine: Engine;
  /** The patterns of the plain loop, as JSON. */
  patterns: string;
  input: Input;
}

/**
 * One process a core, each with its share of the files: Python runs one thread at a time. Measured from the
 * moment at which a process has imported everything; its output is not synced, which is to its favour.
 */
export async function runEngine(context: BenchContext, engineRun: EngineRun): Promise<EngineFigures> {
  const { python, engine, patterns, input } = engineRun;
  const { root, workDir, signal } = context;
  const processes = Math.min(availableParallelism(), input.files.length);
  const running = Array.from({ length: processes }, async (_, number) => {
    const dir = join(workDir, `${engine}-input-${number}`);
    await mkdir(dir);
    const files = input.files.filter((_file, at) => at % processes === number);
    for (const { path } of files) await link(path, join(dir, basename(path)));
    const output = join(workDir, `${engine}-output-${number}`);
    const script = join(scripts(root), `${engine}_job.py`);
    const child = spawn(python, [script, patterns, dir, output], {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, PYTHONDONTWRITEBYTECODE: "1" },
      signal,
    });
    const measured = await measuredBy(child, engine);
    await rm(dir, { recursive: true });
    return { measured, output };
  });
  const done = await Promise.all(running);
  const sum = (of: (measured: Measured) => number): number =>
    done.reduce((total, { measured }) => total + of(measured), 0);
  return {
    // They are started together, and the slowest ends the job.
    seconds: Math.max(...done.map(({ measured }) => measured.seconds)),
    cpuSeconds: sum(({ cpu_seconds }) => cpu_seconds),
    rssMaxMb: sum(({ rss_max_mb }) => rss_max_mb),
    outputs: done.map(({ output }) => output),
  };
}

/** Kept of what an engine says, to show it if it fails. */
const saidMax = 4_000;

async function measuredBy(child: ChildProcess, engine: Engine): Promise<Measured> {
  let said = "";
  let answer = "";
  child.stdout?.setEncoding("utf8").on("data", (text: string) => (answer += text));
  child.stderr?.setEncoding("utf8").on("data", (text: string) => (said = (said + text).slice(-saidMax)));
  const [code] = (await once(child, "close")) as [number | null];
  const line = answer.split("\n").findLast((text) => text.startsWith("{"));
  if (code === 0 && line !== undefined) return JSON.parse(line) as Measured;
  throw new CodedError("internal", `peers: ${engine} ended with ${code}: ${said.trim()}`);
}

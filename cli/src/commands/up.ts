import { existsSync, readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { CodedError } from "@millrace/errors";
import { systemClock } from "@millrace/runtime";
import { connect } from "@millrace/sdk";
import { Command, InvalidArgumentError } from "commander";
import { obtainNatsServer } from "../broker/obtain-server.js";
import { renderReport } from "../demo/summary.js";
import { runDemo } from "../demo/run-demo.js";
import { type RunningLocal, runLocal } from "../local/run-local.js";
import { prepareState, resetState } from "../local/prepare-state.js";
import { localPorts, type LocalSystem } from "../local/service-configs.js";
import {
  cacheDir,
  manifestPath,
  type PulledModel,
  resolveImageModels,
  resolveTextModel,
} from "../models/index.js";
import { lockStateDir } from "../state/state-lock.js";
import { onStopSignals } from "../supervisor/stop-signals.js";
import { collect, type World } from "./client.js";

interface UpOptions {
  once?: boolean;
  json?: boolean;
  reset?: boolean;
  verbose?: boolean;
  stateDir: string;
  basePort: number;
  root: string[];
  modelWorkers: number;
  exemptAllowed?: boolean;
  allowPrivate?: string[];
}

/** Where the workspace lies: this file is cli/dist/commands/up.js in it. */
const workspace = resolve(dirname(fileURLToPath(import.meta.url)), "../../..");

export function upCommand(world: World): Command {
  return new Command("up")
    .description("start nats-server and all services, run the main job, keep serving")
    .option("--once", "stop after the main job's summary")
    .option("--json", "print the summary as one JSON object, as the last line")
    .option("--reset", "empty the state first")
    .option("--verbose", "show every log line")
    .option("--state-dir <dir>", "what is kept", ".millrace")
    .option("--base-port <port>", "first of 12 ports: gRPC, then HTTP", parsePort, 7070)
    .option(
      "--root <dir>",
      "a directory that file sources may read; may be repeated",
      (dir, dirs: string[]) => [...dirs, dir],
      [],
    )
    .option(
      "--model-workers <n>",
      "threads that run the model",
      parseWorkers,
      Math.max(1, availableParallelism()),
    )
    .option("--exempt-allowed", "let callers exempt streams from the privacy filter")
    .option("--allow-private <host>", "a host or network that webhooks and sources may reach", collect)
    .action((options: UpOptions) => up(options, world));
}

function parsePort(value: string): number {
  const port = Number(value);
  if (/^\d+$/.test(value) && port >= 1024 && port <= 65_500) return port;
  throw new InvalidArgumentError("Give a port from 1024 to 65500.");
}

function parseWorkers(value: string): number {
  const count = Number(value);
  if (/^\d+$/.test(value) && count >= 1 && count <= 64) return count;
  throw new InvalidArgumentError("Give a whole number from 1 to 64.");
}

async function up(options: UpOptions, world: World): Promise<void> {
  const { output } = world;
  const stateDir = resolve(options.stateDir);
  const lock = lockStateDir(stateDir);
  let running: RunningLocal | undefined;
  const stopping = new AbortController();
  const dispose = onStopSignals(
    { stop: () => stopping.abort(), kill: () => (running?.kill(), process.exit(130)) },
    systemClock.monotonic,
  );
  const signal = AbortSignal.any([stopping.signal, world.signal]);
  try {
    if (options.reset === true) await resetState(stateDir);
    const cache = cacheDir(workspace, process.env);
    const log = (line: string): void => output.notice(line);
    const request = { cacheDir: cache, log, signal };
    const models = { ...request, manifestPath: manifestPath(workspace) };
    const [server, model] = await Promise.all([
      obtainNatsServer({ ...request, env: process.env }),
      resolveTextModel(models),
      resolveImageModels(models),
    ]);
    const system = describeSystem(options, {
      stateDir,
      model,
      externalUrl: "url" in server ? server.url : undefined,
    });
    running = runLocal({
      root: workspace,
      system,
      state: await prepareState(system),
      ...("path" in server ? { natsServerPath: server.path } : {}),
      verbose: options.verbose === true,
      colour: process.stderr.isTTY === true,
      show: output.notice,
    });
    await running.start();
    const ended = running.ended;
    await Promise.race([serve(options, { world, system, model, signal }), ended]);
  } finally {
    await running?.stop();
    dispose();
    lock.release();
  }
}

interface Serving {
  world: World;
  system: LocalSystem;
  model: PulledModel;
  signal: AbortSignal;
}

/** The main job, then nothing but serving until somebody stops it. */
async function serve(options: UpOptions, { world, system, model, signal }: Serving): Promise<void> {
  const { output } = world;
  const address = `127.0.0.1:${system.ports.grpc}`;
  const http = `http://127.0.0.1:${system.ports.http.gateway}`;
  output.notice(`gateway: gRPC ${address}, HTTP ${http}; state in ${system.stateDir}`);
  await using client = connect({ address });
  const models = [{ name: model.name, sha256: model.files[0]?.sha256 ?? "" }];
  const corpusDir = join(workspace, "examples", "corpus");
  const progress = createProgress();
  const report = await runDemo({
    client,
    corpusDir,
    models,
    clock: systemClock,
    progress: progress.show,
    signal,
  });
  progress.end();
  if (signal.aborted && options.once !== true) return;
  for (const line of renderReport(report)) await output.line(line);
  if (options.json === true) await output.json(report.summary);
  if (options.once === true) {
    if (!report.summary.ok)
      throw new CodedError("failed_precondition", `main job: ${report.problems.join("; ")}`);
    return;
  }
  for (const line of examplesFor(address, report.summary.streams.at(-1)?.name ?? "")) await output.line(line);
  if (!signal.aborted)
    await new Promise<void>((done) => signal.addEventListener("abort", () => done(), { once: true }));
  output.notice("stopping");
}

function examplesFor(address: string, stream: string): string[] {
  return [
    "",
    `Serving on ${address}. Try, in another terminal (Ctrl-C here stops):`,
    `  npx millrace status ${stream}`,
    `  npx millrace search "a guest could not pay because nobody came"`,
    `  npx millrace publish ${stream} "call me on +44 20 7946 0958" --source-id table-1`,
    `  npx millrace subscribe ${stream} --from earliest`,
    `  grpcurl -plaintext ${address} list`,
    `  grpcurl -plaintext -d '{"query":"smoke rising from a handset","max_results":3}' ` +
      `${address} millrace.search.v1.SearchService/Search`,
    `  grpcurl -plaintext -d '{"stream":"${stream}","text":"mail anna@example.com"}' ` +
      `${address} millrace.message.v1.PublishService/Publish`,
  ];
}

function describeSystem(
  options: UpOptions,
  { stateDir, model, externalUrl }: { stateDir: string; model: PulledModel; externalUrl: string | undefined },
): LocalSystem {
  const ports = localPorts(options.basePort);
  const own = {
    natsUrl: `nats://127.0.0.1:${ports.nats}`,
    natsMonitorUrl: `http://127.0.0.1:${ports.natsMonitor}`,
    keysDir: join(stateDir, "keys"),
  };
  return {
    stateDir,
    ports,
    ...(externalUrl === undefined ? own : { natsUrl: externalUrl }),
    roots: [workspace, process.cwd(), ...options.root.map(existingRoot)],
    model: {
      manifestPath: model.manifestPath,
      directory: model.modelsDirectory,
      name: model.name,
      dimensions: dimensionsOf(model),
    },
    modelWorkers: options.modelWorkers,
    exemptAllowed: options.exemptAllowed ?? false,
    allowPrivate: options.allowPrivate ?? [],
  };
}

function existingRoot(dir: string): string {
  const path = resolve(dir);
  if (existsSync(path)) return path;
  throw new CodedError("not_found", `serve files below ${path}: it does not exist`, {
    field: "--root",
    remedy: "Name a directory that is there.",
  });
}

function dimensionsOf(model: PulledModel): number {
  const manifest = JSON.parse(readFileSync(model.manifestPath, "utf8")) as {
    models: { name: string; io: { dimensions: number } }[];
  };
  const entry = manifest.models.find(({ name }) => name === model.name);
  if (entry === undefined) throw new CodedError("internal", `read manifest: ${model.name} is not in it`);
  return entry.io.dimensions;
}

/** One line on stderr that is written over, where a person looks; else a line now and then. */
function createProgress(): { show(line: string): void; end(): void } {
  const { stderr } = process;
  let shown = "";
  let last = 0;
  return {
    show: (line) => {
      if (line === shown) return;
      shown = line;
      if (stderr.isTTY) {
        stderr.write(`\r\x1b[2K${line}`);
        return;
      }
      const now = systemClock.monotonic();
      if (now - last < 1_000) return;
      last = now;
      stderr.write(`${line.trimEnd()}\n`);
    },
    end: () => {
      if (stderr.isTTY) stderr.write("\r\x1b[2K");
    },
  };
}

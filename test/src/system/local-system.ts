import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import {
  cacheDir,
  type LocalSystem as Described,
  localPorts,
  manifestPath,
  obtainNatsServer,
  prepareState,
  resolveTextModel,
  type RunningLocal,
  runLocal,
} from "@millrace/cli/local";
import { connect, type MillraceClient } from "@millrace/sdk";

/** The built workspace: this file is test/dist/system/local-system.js in it. */
export const workspace = resolve(dirname(fileURLToPath(import.meta.url)), "../../..");

export interface TestSystem {
  client: MillraceClient;
  described: Described;
  /** Empty directory that file sources may read. */
  inputDir: string;
  /** Below it `<tenant>/<stream>/part-….jsonl`. */
  outputDir: string;
  programs: RunningLocal["programs"];
  /** What all programs printed, and what the supervisor showed. */
  logText(): Promise<string>;
  stop(): Promise<void>;
}

export interface TestSystemOptions {
  env?: NodeJS.ProcessEnv;
  exemptAllowed?: boolean;
}

/** The whole system as `npm start` runs it, every service its own process, in a directory of its own. */
export async function startTestSystem(options: TestSystemOptions = {}): Promise<TestSystem> {
  const stateDir = await mkdtemp(join(tmpdir(), "millrace-test-"));
  const shown: string[] = [];
  const log = (line: string): void => void shown.push(line);
  const request = { cacheDir: cacheDir(workspace, process.env), log };
  const server = await obtainNatsServer({ ...request, env: { ...process.env, NATS_URL: "" } });
  const model = await resolveTextModel({ ...request, manifestPath: manifestPath(workspace) });
  const ports = localPorts(await freePortBlock());
  const described: Described = {
    stateDir,
    ports,
    natsUrl: `nats://127.0.0.1:${ports.nats}`,
    natsMonitorUrl: `http://127.0.0.1:${ports.natsMonitor}`,
    keysDir: join(stateDir, "keys"),
    roots: [stateDir],
    model: {
      manifestPath: model.manifestPath,
      directory: model.modelsDirectory,
      name: model.name,
      dimensions: await modelDimensions(model.manifestPath, model.name),
    },
    modelWorkers: 1,
    exemptAllowed: options.exemptAllowed ?? false,
  };
  const running = runLocal({
    root: workspace,
    system: described,
    state: await prepareState(described),
    ...("path" in server ? { natsServerPath: server.path } : {}),
    verbose: true,
    colour: false,
    show: log,
    ...(options.env === undefined ? {} : { env: options.env }),
  });
  await running.start();
  const client = connect({ address: `127.0.0.1:${ports.grpc}` });
  return {
    client,
    described,
    inputDir: stateDir,
    outputDir: join(stateDir, "data", "output"),
    programs: running.programs,
    logText: async () => {
      const folder = join(stateDir, "logs");
      const texts = (await readdir(folder)).map((name) => readFile(join(folder, name), "utf8"));
      return [...shown, ...(await Promise.all(texts))].join("\n");
    },
    stop: async () => {
      await client.close();
      await running.stop();
      await rm(stateDir, { recursive: true, force: true });
    },
  };
}

/** Of the vectors that a model of the manifest makes. */
export async function modelDimensions(path: string, name: string): Promise<number> {
  const manifest = JSON.parse(await readFile(path, "utf8")) as {
    models: { name: string; io: { dimensions: number } }[];
  };
  return manifest.models.find((model) => model.name === name)?.io.dimensions ?? 0;
}

/** A block of 12 ports in a row that are free now; each system takes one. */
export async function freePortBlock(): Promise<number> {
  for (let base = 21_000 + (process.pid % 400) * 20; base < 60_000; base += 20) {
    const free = await Promise.all(Array.from({ length: 12 }, (_, offset) => isFree(base + offset)));
    if (free.every(Boolean)) return base;
  }
  throw new Error("no block of 12 free ports");
}

function isFree(port: number): Promise<boolean> {
  return new Promise((done) => {
    const server = createServer();
    server.once("error", () => done(false));
    server.listen(port, "127.0.0.1", () => server.close(() => done(true)));
  });
}

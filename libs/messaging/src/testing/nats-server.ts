import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { present } from "@millrace/errors";
import { silentLogger, type TlsFiles } from "@millrace/runtime";
import { eventually, type TestAuthority } from "@millrace/runtime/testing";
import { type Broker, connectBroker } from "../broker/broker.js";
import { adminUser, brokerUsers } from "../broker/permissions.js";
import { provision } from "../broker/provisioner.js";
import {
  ensureUserKeys,
  renderServerConfig,
  seedFile,
  type ServerConfigOptions,
} from "../broker/server-config.js";
import { findNatsServer } from "./find-server.js";

export interface NatsOptions {
  /** State is kept there and left there; absent: a temporary one, removed by `stop`. */
  dir?: string;
  /** A free one when absent. */
  port?: number;
  storeBytes?: number;
  /** False leaves the server without streams, consumers and buckets. */
  provisioned?: boolean;
  /** Issues certificates to the server and its users, which are then known by them and have no keys. */
  authority?: TestAuthority;
}

/** A real nats-server with the users, permissions and streams of Millrace. */
export interface NatsServer {
  readonly url: string;
  readonly monitorUrl: string;
  readonly keysDir: string;
  readonly dir: string;
  readonly logFile: string;
  pid(): number;
  /** What a user shows that it is, for `connectBroker`. */
  credentialsOf(user: string): { seedFile: string } | { tls: TlsFiles };
  /** Connects as a user of the permission table. */
  connect(user: string): Promise<Broker>;
  /** SIGTERM, and the temporary directory is removed. */
  stop(): Promise<void>;
  /** SIGKILL; `start` brings it back with the same state and port. */
  kill(): Promise<void>;
  start(): Promise<void>;
  /** SIGTERM, then start. */
  restart(): Promise<void>;
  signal(signal: NodeJS.Signals): void;
}

const storeBytesDefault = 512 * 1024 * 1024;

export async function startNats(options: NatsOptions = {}): Promise<NatsServer> {
  const binary = findNatsServer();
  const dir = options.dir ?? (await mkdtemp(join(tmpdir(), "millrace-nats-")));
  const keysDir = join(dir, "keys");
  const logFile = join(dir, "nats-server.log");
  const configFile = join(dir, "nats-server.conf");
  const port = options.port ?? (await freePort());
  const monitorPort = await freePort();
  const storeBytes = options.storeBytes ?? storeBytesDefault;
  await mkdir(dir, { recursive: true });
  const { url, credentialsOf, identified } = await identify({ keysDir, port, authority: options.authority });
  const storeDir = join(dir, "store");
  await writeFile(
    configFile,
    renderServerConfig({ host: "127.0.0.1", port, monitorPort, storeDir, storeBytes, ...identified }),
  );
  const monitorUrl = `http://127.0.0.1:${monitorPort}`;
  let child: ChildProcess | undefined;

  const start = async (): Promise<void> => {
    const log = openSync(logFile, "a");
    const running = spawn(binary, ["-c", configFile], { stdio: ["ignore", log, log] });
    closeSync(log);
    child = running;
    await eventually(() => isHealthy(monitorUrl, running), { what: "nats-server answers" }).catch(
      async (cause: unknown) => {
        running.kill("SIGKILL");
        throw new Error(`nats-server did not start:\n${await readFile(logFile, "utf8")}`, { cause });
      },
    );
  };
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    const running = child;
    child = undefined;
    if (running === undefined || running.exitCode !== null || running.signalCode !== null) return;
    const exited = once(running, "exit");
    running.kill(signal);
    await exited;
  };
  const connect = (user: string): Promise<Broker> =>
    connectBroker({
      url,
      user,
      ...credentialsOf(user),
      log: silentLogger,
      onClosed: () => undefined,
    });

  await start();
  if (options.provisioned !== false) {
    const admin = await connect(adminUser);
    await provision(admin, { storeBytes });
    await admin.connection.close();
  }
  return {
    url,
    credentialsOf,
    monitorUrl,
    keysDir,
    dir,
    logFile,
    pid: () => child?.pid ?? 0,
    connect,
    start,
    kill: () => end("SIGKILL"),
    stop: async () => {
      await end("SIGTERM");
      if (options.dir === undefined) await rm(dir, { recursive: true, force: true });
    },
    restart: async () => {
      await end("SIGTERM");
      await start();
    },
    signal: (signal) => void child?.kill(signal),
  };
}

interface Identified {
  url: string;
  credentialsOf: NatsServer["credentialsOf"];
  identified: Pick<ServerConfigOptions, "users" | "tls">;
}

/** By keys, or by certificates of the authority. */
async function identify({
  keysDir,
  port,
  authority,
}: {
  keysDir: string;
  port: number;
  authority: TestAuthority | undefined;
}): Promise<Identified> {
  if (authority === undefined) {
    const credentialsOf = (user: string) => ({ seedFile: seedFile(keysDir, user) });
    return {
      url: `nats://127.0.0.1:${port}`,
      credentialsOf,
      identified: { users: await ensureUserKeys(keysDir) },
    };
  }
  const issued = new Map<string, TlsFiles>();
  for (const user of [adminUser, ...brokerUsers]) issued.set(user, await authority.issue(user));
  return {
    url: `tls://127.0.0.1:${port}`,
    credentialsOf: (user) => ({ tls: present(issued.get(user), `a certificate of ${user}`) }),
    identified: { users: "certificates", tls: await authority.issue("nats") },
  };
}

async function isHealthy(monitorUrl: string, running: ChildProcess): Promise<boolean> {
  if (running.exitCode !== null) return false;
  const response = await fetch(`${monitorUrl}/healthz`, { signal: AbortSignal.timeout(2_000) });
  return response.ok;
}

/** A port that was free a moment ago, on the loopback interface. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  return typeof address === "object" && address !== null ? address.port : 0;
}

import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type LocalSystem, prepareState, streamBytes } from "@millrace/cli/local";
import {
  adminUser,
  type Broker,
  connectBroker,
  provision,
  seedFile,
  type ServiceUser,
  serviceUsers,
} from "@millrace/messaging";
import { silentLogger } from "@millrace/runtime";
import { connect, type ConnectOptions, type MillraceClient } from "@millrace/sdk";
import { freePort } from "@millrace/testkit";
import { describeSystem } from "../../system/describe-system.js";
import { until } from "../../system/observe.js";
import { workspace } from "../../system/supplies.js";
import { defineProgram, type Program, type ProgramExit } from "./program.js";

/** `privacy-1` is a second privacy beside the first, `privacy-2` a third. */
export type ProgramName = ServiceUser | `${ServiceUser}-${1 | 2}` | "nats-server";

/** The whole real system, each program in the hands of the test, to be ended, stopped or left down. */
export interface FaultSystem {
  readonly described: LocalSystem;
  readonly stateDir: string;
  /** Below it `<tenant>/<stream>/part-….jsonl`. */
  readonly outputDir: string;
  readonly grpcAddress: string;
  client: MillraceClient;
  program(name: ProgramName): Program;
  services(): Program[];
  /** `livez`, `readyz` or `metrics` of a service. */
  url(service: ServiceUser, path: string): string;
  /** Connected as the operator; stays through restarts of the broker. */
  admin(): Broker;
  /** Broker first, then streams and consumers, then all services. */
  start(): Promise<void>;
  /** SIGKILL to all, as when power is lost. */
  killAll(): Promise<void>;
  /** Ends that nobody asked for, of all programs. */
  unasked(): ProgramExit[];
  stop(): Promise<void>;
}

export interface FaultSystemOptions {
  /** Runs before anything is started: mounts volumes below the state's directory. */
  prepare?(stateDir: string): Promise<void>;
  /** Changes a service's configuration. */
  configure?: Partial<Record<ServiceUser, (config: Config) => void>>;
  /** Changes the broker's. */
  configureBroker?(config: Config): void;
  /** Asked whether the broker is up; absent: whether it and all of its streams are well. */
  brokerProbe?: string;
  /** How its client reaches gateway, once all is prepared; absent: in the clear, as nobody. */
  connecting?(stateDir: string): Omit<ConnectOptions, "address">;
  /** Of these a second one runs, on the same directories. */
  twice?: readonly ServiceUser[];
  /** Of these a second one and a third. */
  thrice?: readonly ServiceUser[];
  /** Added to the environment of the services. */
  env?: NodeJS.ProcessEnv;
  /** Runs when everything has ended, before the state's directory is removed. */
  cleanUp?(stateDir: string): Promise<void>;
}

/** As it is written to its file. */
export type Config = Record<string, Record<string, unknown>>;

export async function startFaultSystem(options: FaultSystemOptions = {}): Promise<FaultSystem> {
  const stateDir = await mkdtemp(join(tmpdir(), "millrace-fault-"));
  const { described, natsServerPath } = await describeSystem(stateDir);
  const { ports } = described;
  await options.prepare?.(stateDir);
  const { brokerConfig, serviceConfigs } = await prepareState(described);
  if (options.configureBroker !== undefined) await edit(brokerConfig, options.configureBroker);
  for (const name of serviceUsers) {
    const change = options.configure?.[name];
    if (change !== undefined) await edit(serviceConfigs[name], change);
  }
  await mkdir(join(stateDir, "logs"));
  const logFile = (name: string): string => join(stateDir, "logs", `${name}.log`);
  const programs = new Map<ProgramName, Program>();
  programs.set(
    "nats-server",
    defineProgram({
      name: "nats-server",
      command: natsServerPath,
      args: ["--config", brokerConfig],
      readyUrl: `http://127.0.0.1:${ports.natsMonitor}/${options.brokerProbe ?? "healthz"}`,
      logFile: logFile("nats-server"),
    }),
  );
  const define = (name: ServiceUser, called: ProgramName, config: string, port: number): void => {
    const main = join(workspace, "services", name, "dist", "main.js");
    const spec = {
      name: called,
      command: process.execPath,
      args: [main, "--config", config],
      readyUrl: `http://127.0.0.1:${port}/readyz`,
      logFile: logFile(called),
    };
    programs.set(called, defineProgram(spec));
  };
  for (const name of serviceUsers) define(name, name, serviceConfigs[name], ports.http[name]);
  const { twice = [], thrice = [] } = options;
  const replicas = [
    ...[...twice, ...thrice].map((name) => [name, 1] as const),
    ...thrice.map((name) => [name, 2] as const),
  ];
  for (const [name, instance] of replicas) {
    const port = await freePort();
    const config = join(stateDir, `${name}-${instance}.json`);
    await copyFile(serviceConfigs[name], config);
    await edit(config, (other) => Object.assign(other, { instance: String(instance), http: { port } }));
    define(name, `${name}-${instance}`, config, port);
  }
  const system = assemble(described, programs, options);
  try {
    await system.start();
  } catch (caught) {
    // Whoever gets no system can't stop it.
    await system.stop();
    throw caught;
  }
  return system;
}

function assemble(
  described: LocalSystem,
  programs: ReadonlyMap<ProgramName, Program>,
  options: FaultSystemOptions,
): FaultSystem {
  const { stateDir, ports } = described;
  const grpcAddress = `127.0.0.1:${ports.grpc}`;
  const client = connect({ address: grpcAddress, ...options.connecting?.(stateDir) });
  let admin: Broker | undefined;
  const program = (name: ProgramName): Program => {
    const known = programs.get(name);
    if (known === undefined) throw new Error(`no program ${name}`);
    return known;
  };
  const services = (): Program[] =>
    [...programs].flatMap(([name, each]) => (name === "nats-server" ? [] : [each]));
  const killAll = async (): Promise<void> => {
    const alive = [...programs.values()].filter((each) => each.pid() !== 0);
    await Promise.all(alive.map((each) => each.end("SIGKILL")));
  };
  return {
    described,
    stateDir,
    outputDir: join(stateDir, "data", "output"),
    grpcAddress,
    client,
    program,
    services,
    url: (service, path) => `http://127.0.0.1:${ports.http[service]}/${path}`,
    admin: () => {
      if (admin === undefined) throw new Error("the system is not started");
      return admin;
    },
    start: async () => {
      await program("nats-server").start();
      const broker = (admin ??= await connectAdmin(described));
      await until(() => broker.isConnected(), "the operator is connected again");
      await provision(broker, { storeBytes: streamBytes });
      await Promise.all(services().map((service) => service.start(options.env)));
    },
    killAll,
    unasked: () => [...programs.values()].flatMap((each) => each.unasked()),
    stop: async () => {
      await client.close();
      await admin?.connection.close();
      await killAll();
      await options.cleanUp?.(stateDir);
      await rm(stateDir, { recursive: true, force: true });
    },
  };
}

function connectAdmin({ natsUrl, keysDir = "" }: LocalSystem): Promise<Broker> {
  return connectBroker({
    url: natsUrl,
    user: adminUser,
    seedFile: seedFile(keysDir, adminUser),
    log: silentLogger,
    onClosed: () => undefined,
  });
}

async function edit(path: string, change: (config: Config) => void): Promise<void> {
  const config = JSON.parse(await readFile(path, "utf8")) as Config;
  change(config);
  await writeFile(path, JSON.stringify(config));
}

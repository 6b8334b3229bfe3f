import { join } from "node:path";
import { seedFile, type ServiceUser, serviceUsers } from "@millrace/messaging";

/** Ports of a local system: one block, so that a second system needs one number. */
export interface LocalPorts {
  grpc: number;
  http: Record<ServiceUser, number>;
  nats: number;
  natsMonitor: number;
  buffer: number;
}

/** Gateway first, then the broker, then what only the services talk to. */
export function localPorts(base: number): LocalPorts {
  const http = Object.fromEntries(serviceUsers.map((name, at) => [name, base + 5 + at])) as Record<
    ServiceUser,
    number
  >;
  return {
    grpc: base,
    http: { ...http, gateway: base + 1 },
    nats: base + 2,
    buffer: base + 3,
    natsMonitor: base + 4,
  };
}

export interface LocalSystem {
  /** Absolute; everything that is kept lies below it. */
  stateDir: string;
  ports: LocalPorts;
  natsUrl: string;
  /** Absent for a broker that somebody else runs. */
  natsMonitorUrl?: string;
  /** Absent: the broker wants no credentials. */
  keysDir?: string;
  /** Directories that file sources may read. */
  roots: readonly string[];
  model: { manifestPath: string; directory: string; name: string; dimensions: number };
  /** Threads that run the model. */
  modelWorkers: number;
  /** Whoever calls holds the privacy role. Default false. */
  exemptAllowed?: boolean;
  /** Hosts and networks of this machine's that webhooks and sources may reach. Default: none. */
  allowPrivate?: readonly string[];
}

export function pseudonymKeyFile(stateDir: string): string {
  return join(stateDir, "keys", "pseudonyms.key");
}

/** The config file of each service; the same fields as the chart renders. */
export function renderServiceConfigs(system: LocalSystem): Record<ServiceUser, object> {
  const { stateDir, ports, model } = system;
  const data = join(stateDir, "data");
  const rawDir = join(data, "raw");
  const cleanDir = join(data, "clean");
  const base = (name: ServiceUser): object => ({
    http: { host: "127.0.0.1", port: ports.http[name] },
    nats: {
      url: system.natsUrl,
      ...(system.natsMonitorUrl === undefined ? {} : { monitorUrl: system.natsMonitorUrl }),
      ...(system.keysDir === undefined ? {} : { seedFile: seedFile(system.keysDir, name) }),
    },
  });
  const reaching = {
    egress: { allowPrivate: [...(system.allowPrivate ?? [])] },
    secretsDir: join(stateDir, "secrets"),
  };
  const bufferAddress = `127.0.0.1:${ports.buffer}`;
  return {
    gateway: {
      ...base("gateway"),
      grpc: { host: "127.0.0.1", port: ports.grpc },
      buffer: { address: bufferAddress },
      privacy: { exemptAllowed: system.exemptAllowed ?? false },
      replay: { storageDir: join(data, "output") },
    },
    ingestion: {
      ...base("ingestion"),
      ...reaching,
      bufferAddress,
      segments: { rawDir, cleanDir },
      files: { roots: [...system.roots] },
    },
    buffer: {
      ...base("buffer"),
      grpc: { host: "127.0.0.1", port: ports.buffer },
      segments: { rawDir, cleanDir },
    },
    privacy: {
      ...base("privacy"),
      pseudonymKeyFile: pseudonymKeyFile(stateDir),
      segments: { rawDir, cleanDir },
      images: { manifestPath: model.manifestPath, directory: model.directory },
    },
    inference: {
      ...base("inference"),
      models: {
        manifestPath: model.manifestPath,
        directory: model.directory,
        text: model.name,
        workers: system.modelWorkers,
      },
      segments: { cleanDir },
      niceness: 5,
    },
    "semantic-search": {
      ...base("semantic-search"),
      model: model.name,
      dimensions: model.dimensions,
      segments: { cleanDir },
    },
    output: {
      ...base("output"),
      ...reaching,
      segments: { cleanDir },
      storage: { root: join(data, "output") },
    },
  };
}

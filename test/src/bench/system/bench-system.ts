import { mkdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { localPorts, prepareState, runLocal } from "@millrace/cli/local";
import { adminUser, type Broker, connectBroker, seedFile, type ServiceUser } from "@millrace/messaging";
import { silentLogger } from "@millrace/runtime";
import { connect, type MillraceClient } from "@millrace/sdk";
import type { BenchContext } from "../bench-context.js";
import { systemAt } from "../../system/describe-system.js";
import { note } from "../report.js";

/** The whole real system: nats-server and every service a process of its own. */
export interface BenchSystem {
  client: MillraceClient;
  stateDir: string;
  httpPort(service: ServiceUser): number;
  signal(service: ServiceUser, signal: NodeJS.Signals): void;
  /** A connection to the broker as one of its users; closed with the system. */
  broker(user: ServiceUser | typeof adminUser): Promise<Broker>;
}

/** Starts it in a directory of its own, and stops it whatever happens. */
export async function withSystem<T>(
  context: BenchContext,
  modelWorkers: number,
  work: (system: BenchSystem) => Promise<T>,
): Promise<T> {
  const { root, workDir, supplies, options } = context;
  const stateDir = join(workDir, "state");
  const ports = localPorts(options.basePort);
  const settings = { roots: [workDir], model: supplies.model, modelWorkers, exemptAllowed: true };
  const described = systemAt(stateDir, ports, settings);
  const running = runLocal({
    root,
    system: described,
    state: await prepareState(described),
    natsServerPath: supplies.natsServerPath,
    verbose: false,
    colour: false,
    show: note,
    ...(options.profile === undefined ? {} : { env: profilingEnv(options.profile) }),
  });
  const brokers: Broker[] = [];
  const client = connect({ address: `127.0.0.1:${ports.grpc}` });
  const system: BenchSystem = {
    client,
    stateDir,
    httpPort: (service) => ports.http[service],
    signal: (service, signal) => {
      const pid = running.programs().find(({ name }) => name === service)?.pid;
      if (pid !== undefined) process.kill(pid, signal);
    },
    broker: async (user) => {
      const broker = await connectBroker({
        url: described.natsUrl,
        user,
        seedFile: seedFile(described.keysDir, user),
        log: silentLogger,
        onClosed: () => undefined,
      });
      brokers.push(broker);
      return broker;
    },
  };
  try {
    await running.start();
    context.signal.throwIfAborted();
    // A service that is given up ends the bench, whatever it waits for.
    return await Promise.race([work(system), running.ended.then(() => never)]);
  } finally {
    await client.close();
    for (const broker of brokers) await broker.connection.close();
    await running.stop();
  }
}

const never = new Promise<never>(() => undefined);

/** Each service then writes a profile of its main thread when it ends. */
function profilingEnv(dir: string): NodeJS.ProcessEnv {
  mkdirSync(dir, { recursive: true });
  const script = new URL("./profile-process.js", import.meta.url);
  return {
    ...process.env,
    MILLRACE_BENCH_PROFILE_DIR: resolve(dir),
    NODE_OPTIONS: `--import ${script.href}`,
  };
}

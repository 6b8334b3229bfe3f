import { join } from "node:path";
import { CodedError } from "@millrace/errors";
import { connectBroker, provision, seedFile, adminUser } from "@millrace/messaging";
import { silentLogger, systemClock, systemRandom } from "@millrace/runtime";
import { openLogFile } from "../logs/log-file.js";
import { lineRenderer } from "../logs/render-line.js";
import type { ProgramStatus } from "../supervisor/program.js";
import type { ProgramSpec } from "../supervisor/program-spec.js";
import { supervise, type Supervisor } from "../supervisor/supervise.js";
import { brokerProgram, servicePrograms } from "./local-programs.js";
import { type PreparedState, streamBytes } from "./prepare-state.js";
import type { LocalSystem } from "./service-configs.js";

export interface RunLocalOptions {
  /** Where the built workspace lies. */
  root: string;
  system: LocalSystem;
  state: PreparedState;
  /** Absent where the broker is somebody else's. */
  natsServerPath?: string;
  verbose: boolean;
  colour: boolean;
  /** A line for the terminal. */
  show(line: string): void;
  /** Added to the environment of every program. */
  env?: NodeJS.ProcessEnv;
}

export interface RunningLocal {
  start(): Promise<void>;
  /** Rejects when a program was given up. */
  ended: Promise<void>;
  stop(): Promise<void>;
  kill(): void;
  /** Names, states and pids, the broker's first. */
  programs(): ProgramStatus[];
}

/** Broker, then streams and consumers, then all services: nothing publishes before its consumers exist. */
export function runLocal(options: RunLocalOptions): RunningLocal {
  const { root, system, state } = options;
  const logs = new Map<string, ReturnType<typeof openLogFile>>();
  const render = lineRenderer({ colour: options.colour, verbose: options.verbose, now: systemClock.now });
  const folder = join(system.stateDir, "logs");
  const superviseAll = (programs: (ProgramSpec | ProgramSpec[])[]): Supervisor =>
    supervise({
      programs,
      env: { ...process.env, ...options.env },
      runDir: join(system.stateDir, "run"),
      clock: systemClock,
      random: systemRandom,
      onLine: (program, line, from) => {
        let log = logs.get(program);
        if (log === undefined) {
          log = openLogFile({
            folder,
            name: program,
            onError: (error) => options.show(`log of ${program}: ${error.message}`),
          });
          logs.set(program, log);
        }
        log.write(line);
        const shown = render(program, line, from);
        if (shown !== undefined) options.show(shown);
      },
      log: (level, message) => {
        if (level !== "info" || options.verbose) options.show(`${level}: ${message}`);
      },
    });
  const path = options.natsServerPath;
  const broker = superviseAll(path === undefined ? [] : [brokerProgram(path, state, system.ports)]);
  const services = superviseAll([servicePrograms(root, state, system.ports)]);
  return {
    start: async () => {
      await broker.start();
      await provisionBroker(system);
      await services.start();
    },
    ended: Promise.race([broker.ended, services.ended]),
    stop: async () => {
      await services.stop();
      await broker.stop();
      for (const log of logs.values()) log.close();
    },
    programs: () => [...broker.status(), ...services.status()],
    kill: () => {
      services.kill();
      broker.kill();
    },
  };
}

async function provisionBroker(system: LocalSystem): Promise<void> {
  const connecting = connectBroker({
    url: system.natsUrl,
    user: adminUser,
    ...(system.keysDir === undefined ? { waits: false } : { seedFile: seedFile(system.keysDir, adminUser) }),
    log: silentLogger,
    onClosed: () => undefined,
  });
  const broker = await connecting.catch((cause: unknown) => {
    const { code, message } = CodedError.from(cause, "connect to the broker");
    throw new CodedError(code, message, {
      field: "NATS_URL",
      remedy: "Start a nats-server with JetStream there, or unset NATS_URL: then one is started.",
      cause,
    });
  });
  try {
    await provision(broker, { storeBytes: streamBytes });
  } finally {
    await broker.stop?.(new AbortController().signal);
  }
}

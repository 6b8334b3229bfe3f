import { createServer } from "node:net";
import { join } from "node:path";
import { type LocalSystem, localPorts } from "@millrace/cli/local";
import { obtainSupplies } from "./supplies.js";

export interface DescribeOptions {
  exemptAllowed?: boolean;
  allowPrivate?: readonly string[];
  /** Takes a line for each way that was tried to a broker and a model. */
  log?: (line: string) => void;
}

/** A whole system of its own below a directory, on ports that are free now; nothing is started. */
export async function describeSystem(
  stateDir: string,
  { exemptAllowed = false, allowPrivate = [], log = () => undefined }: DescribeOptions = {},
): Promise<{ described: LocalSystem; natsServerPath: string }> {
  const { natsServerPath, model } = await obtainSupplies({ log });
  const ports = localPorts(await freePortBlock());
  const settings = { roots: [stateDir], model, modelWorkers: 1, exemptAllowed, allowPrivate };
  return { described: systemAt(stateDir, ports, settings), natsServerPath };
}

/** A system on these ports, whose broker is its own and whose keys lie in its directory. */
export function systemAt<Settings extends object>(
  stateDir: string,
  ports: LocalSystem["ports"],
  settings: Settings,
) {
  return {
    stateDir,
    ports,
    natsUrl: `nats://127.0.0.1:${ports.nats}`,
    natsMonitorUrl: `http://127.0.0.1:${ports.natsMonitor}`,
    keysDir: join(stateDir, "keys"),
    ...settings,
  };
}

/** A block of 12 ports in a row that are free now; each system takes one. */
export async function freePortBlock(): Promise<number> {
  for (let base = 21_000 + (process.pid % 400) * 20; base < 60_000; base += 20) {
    const free = await Promise.all(Array.from({ length: 12 }, (_, offset) => isFree(base + offset)));
    if (free.every(Boolean)) return base;
  }
  throw new Error("no block of 12 free ports");
}

function isFree(port: number): Promise<boolean> {
  return new Promise((done) => {
    const server = createServer();
    server.once("error", () => done(false));
    server.listen(port, "127.0.0.1", () => server.close(() => done(true)));
  });
}

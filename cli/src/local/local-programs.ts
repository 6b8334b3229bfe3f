import { join } from "node:path";
import { serviceUsers } from "@millrace/messaging";
import type { ProgramSpec } from "../supervisor/program-spec.js";
import type { PreparedState } from "./prepare-state.js";
import type { LocalPorts } from "./service-configs.js";

/** The broker: not ours, so a guard ends it when the supervisor is gone. */
export function brokerProgram(path: string, state: PreparedState, ports: LocalPorts): ProgramSpec {
  return {
    name: "nats-server",
    command: path,
    args: ["--config", state.brokerConfig],
    ready: { kind: "http", url: `http://127.0.0.1:${ports.natsMonitor}/healthz` },
    guarded: true,
  };
}

/** All services start together: each waits for what it needs. */
export function servicePrograms(root: string, state: PreparedState, ports: LocalPorts): ProgramSpec[] {
  return serviceUsers.map((name) => ({
    name,
    command: process.execPath,
    args: [
      // Objects of a batch in hand outlive the default 16 MiB, and are dear to collect then.
      "--max-semi-space-size=32",
      // By default the next full collection comes after as little as 8 MB of messages, their bytes counted:
      // two a second at full speed, a tenth of all CPU. This is after three times what is alive.
      "--heap-growing-percent=300",
      join(root, "services", name, "dist", "main.js"),
      "--config",
      state.serviceConfigs[name],
    ],
    ready: { kind: "http", url: `http://127.0.0.1:${ports.http[name]}/readyz` },
    // An index is rebuilt at start: 30 s for 100,000 vectors.
    readyTimeoutMs: 120_000,
    stopTimeoutMs: 25_000,
  }));
}

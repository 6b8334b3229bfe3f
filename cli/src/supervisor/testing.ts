import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { processMark } from "../state/process-mark.js";
import type { ProgramSpec } from "./program-spec.js";
import { type SuperviseOptions, type Supervisor, supervise } from "./supervise.js";

/** Prints "up", says "down" when it is asked to stop, and stops when its stdin ends. */
export const wellBehaved = `
  const end = () => { console.log("down"); process.exit(0); };
  process.on("SIGTERM", end);
  process.stdin.on("end", () => process.exit(0)).resume();
  setInterval(() => {}, 1000);
  console.log("up");`;

/** The same of a program that is not ours: it takes no notice of its stdin. */
export const stranger = `
  process.on("SIGTERM", () => { console.log("down"); process.exit(0); });
  setInterval(() => {}, 1000);
  console.log("up");`;

/** Says "asked" when it is asked to stop, and goes on. */
export const deaf = `
  process.on("SIGTERM", () => console.log("asked"));
  setInterval(() => {}, 1000);
  console.log("up");`;

export interface Workbench {
  folder: string;
  /** What the programs printed, as `<program>: <line>`. */
  printed: string[];
  logged: string[];
  program: (name: string, script: string, more?: Partial<ProgramSpec>) => ProgramSpec;
  supervise: (programs: SuperviseOptions["programs"], more?: Partial<SuperviseOptions>) => Supervisor;
}

/** A folder of its own, and a supervisor that is killed with all it runs when the test ends. */
export function workbench(t: TestContext): Workbench {
  const folder = mkdtempSync(join(tmpdir(), "millrace-supervise-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const printed: string[] = [];
  const logged: string[] = [];
  return {
    folder,
    printed,
    logged,
    program: (name, script, more = {}) => {
      const path = join(folder, `${name}.cjs`);
      writeFileSync(path, script);
      return {
        name,
        command: process.execPath,
        args: [path],
        ready: { kind: "line", pattern: /^up/ },
        ...more,
      };
    },
    supervise: (programs, more = {}) => {
      const supervisor = supervise({
        programs,
        env: process.env,
        runDir: join(folder, "run"),
        onLine: (program, line) => printed.push(`${program}: ${line}`),
        log: (_, message) => logged.push(message),
        clock: { monotonic: () => performance.now(), sleep: pause },
        random: () => 1,
        ...more,
      });
      t.after(() => supervisor.kill());
      return supervisor;
    },
  };
}

/** Resolves after `ms` or when `signal` fires. */
export async function pause(ms: number, signal?: AbortSignal): Promise<void> {
  await sleep(ms, undefined, signal && { signal }).catch(() => {});
}

/** Waits until `holds`; the runner's own limit bounds it. */
export async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await sleep(10);
}

export function isRunning(pid: number | undefined): boolean {
  return pid !== undefined && processMark(pid) !== undefined;
}

/** A port that nobody listened to a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type LocalSystem, prepareState, type RunningLocal, runLocal } from "@millrace/cli/local";
import type { ServiceUser } from "@millrace/messaging";
import { connect, type MillraceClient } from "@millrace/sdk";
import { describeSystem } from "./describe-system.js";
import { workspace } from "./supplies.js";

export interface TestSystem {
  client: MillraceClient;
  described: LocalSystem;
  /** Empty directory that file sources may read. */
  inputDir: string;
  /** Below it `<tenant>/<stream>/part-….jsonl`. */
  outputDir: string;
  programs: RunningLocal["programs"];
  /** What all programs printed, and what the supervisor showed. */
  logText(): Promise<string>;
  stop(): Promise<void>;
}

export interface TestSystemOptions {
  env?: NodeJS.ProcessEnv;
  exemptAllowed?: boolean;
  allowPrivate?: readonly string[];
  /** More settings of services, instead of those that the local mode gives them. */
  settings?: Partial<Record<ServiceUser, object>>;
}

/** The whole system as `npm start` runs it, every service its own process, in a directory of its own. */
export async function startTestSystem(options: TestSystemOptions = {}): Promise<TestSystem> {
  const stateDir = await mkdtemp(join(tmpdir(), "millrace-test-"));
  const shown: string[] = [];
  const log = (line: string): void => void shown.push(line);
  const { described, natsServerPath } = await describeSystem(stateDir, { ...options, log });
  const state = await prepareState(described);
  for (const [name, more] of Object.entries(options.settings ?? {})) {
    const path = state.serviceConfigs[name as ServiceUser];
    const config = JSON.parse(await readFile(path, "utf8")) as object;
    await writeFile(path, JSON.stringify({ ...config, ...more }));
  }
  const running = runLocal({
    root: workspace,
    system: described,
    state,
    natsServerPath,
    verbose: true,
    colour: false,
    show: log,
    ...(options.env === undefined ? {} : { env: options.env }),
  });
  await running.start();
  const client = connect({ address: `127.0.0.1:${described.ports.grpc}` });
  return {
    client,
    described,
    inputDir: stateDir,
    outputDir: join(stateDir, "data", "output"),
    programs: running.programs,
    logText: async () => {
      const folder = join(stateDir, "logs");
      const texts = (await readdir(folder)).map((name) => readFile(join(folder, name), "utf8"));
      return [...shown, ...(await Promise.all(texts))].join("\n");
    },
    stop: async () => {
      await client.close();
      await running.stop();
      await rm(stateDir, { recursive: true, force: true });
    },
  };
}

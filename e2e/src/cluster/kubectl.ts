import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import type { Settings } from "../settings.js";
import { type CommandResult, mustRun, run } from "./command.js";

export interface KubeObject {
  apiVersion: string;
  kind: string;
  metadata: {
    name: string;
    namespace?: string;
    uid?: string;
    generation?: number;
    resourceVersion?: string;
    labels?: Record<string, string>;
    annotations?: Record<string, string>;
    deletionTimestamp?: string;
  };
  spec?: Record<string, unknown>;
  status?: Record<string, unknown>;
  data?: Record<string, string>;
}

export interface Kubectl {
  /** In the namespace. */
  (args: readonly string[], stdin?: string): Promise<string>;
  try(args: readonly string[]): Promise<CommandResult>;
  get(kind: string, name: string): Promise<KubeObject>;
  list(kind: string, selector: string): Promise<KubeObject[]>;
  /** The decoded value of a key of a Secret. */
  secret(name: string, key: string): Promise<string>;
  /** Runs a script by the node of the pod's own image. */
  node(pod: string, script: string): Promise<string>;
  /** A port of this machine that leads to one of a pod or Service, until it is closed or that is gone. */
  forward(target: string, port: number): Promise<Forward>;
}

export interface Forward {
  port: number;
  close(): void;
  /** Settles when it has ended. */
  ended: Promise<void>;
}

export function createKubectl({ kubectl, kubeconfig, namespace }: Settings): Kubectl {
  const base = ["--kubeconfig", kubeconfig, "--namespace", namespace];
  const call = (args: readonly string[], stdin?: string): Promise<string> =>
    mustRun(kubectl, [...base, ...args], stdin === undefined ? {} : { stdin });
  const json = async (args: readonly string[]): Promise<unknown> =>
    JSON.parse(await call([...args, "-o", "json"]));
  return Object.assign(call, {
    try: (args: readonly string[]) => run(kubectl, [...base, ...args]),
    get: async (kind: string, name: string) => (await json(["get", kind, name])) as KubeObject,
    list: async (kind: string, selector: string) => {
      const { items } = (await json(["get", kind, "-l", selector])) as { items: KubeObject[] };
      return items;
    },
    secret: async (name: string, key: string) => {
      const { data } = (await json(["get", "secret", name])) as KubeObject;
      const value = data?.[key];
      if (value === undefined) throw new Error(`Secret ${name} has no key ${key}`);
      return Buffer.from(value, "base64").toString("utf8");
    },
    node: (pod: string, script: string) =>
      call(["exec", pod, "--", "node", "--input-type=module", "-e", script]),
    forward: (target: string, port: number) =>
      openForward(kubectl, [...base, "port-forward", target, `:${port}`]),
  });
}

async function openForward(command: string, args: readonly string[]): Promise<Forward> {
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"] });
  const ended = new Promise<void>((resolve) => void child.once("close", () => resolve()));
  const close = (): void => void child.kill();
  process.once("exit", close);
  let said = "";
  child.stderr.setEncoding("utf8").on("data", (part: string) => (said += part));
  const port = await Promise.race([
    portOf(child),
    ended.then(() => {
      throw new Error(`port-forward to ${args.at(-2) ?? ""} ended: ${said.trim()}`);
    }),
  ]);
  return { port, close, ended };
}

function portOf(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    child.once("error", (error) => reject(new Error(`cannot forward a port: ${error.message}`)));
    if (child.stdout === null) return;
    createInterface({ input: child.stdout }).on("line", (line) => {
      const port = /127\.0\.0\.1:(\d+) ->/.exec(line)?.[1];
      if (port !== undefined) resolve(Number(port));
    });
  });
}

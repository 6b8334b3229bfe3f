import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { HelmMajor } from "@millrace/cli/kubernetes";
import { parseAllDocuments } from "yaml";
import { workspace } from "../system/supplies.js";
import type { KubeObject } from "./objects.js";
import { type ChartTools, obtainChartTools } from "./tools.js";

export const chartFolder = join(workspace, "helm", "millrace");
export const release = "m";
export const namespace = "streams";

export interface Rendering {
  /** Values over the chart's own, as a user's file holds them. */
  values?: unknown;
  /** Another folder than the chart's own. */
  chart?: string;
  helm?: HelmMajor;
  kubeVersion?: string;
  /** What the cluster serves beyond Kubernetes itself. */
  apis?: readonly string[];
}

export interface HelmRun {
  code: number;
  stdout: string;
  stderr: string;
}

const outputBytesMax = 32 * 1024 * 1024;

let toolsFound: Promise<ChartTools> | undefined;
export function tools(): Promise<ChartTools> {
  toolsFound ??= obtainChartTools();
  return toolsFound;
}

/** The objects of a release, in the order in which Helm prints them. */
export async function render(rendering: Rendering): Promise<KubeObject[]> {
  const { code, stdout, stderr } = await helm("template", rendering);
  if (code !== 0) throw new Error(`helm template ended with ${code}: ${stderr.trim()}`);
  return parseObjects(stdout);
}

export function parseObjects(text: string): KubeObject[] {
  return parseAllDocuments(text).flatMap((document) => {
    if (document.errors[0] !== undefined) throw document.errors[0];
    const object: unknown = document.toJS();
    return object === null ? [] : [object as KubeObject];
  });
}

/** Runs `helm template` or `helm lint` on the chart; a refusal is a result, not an error. */
export async function helm(command: "template" | "lint", rendering: Rendering): Promise<HelmRun> {
  const { values = {}, chart = chartFolder, helm: major = 4, kubeVersion, apis = [] } = rendering;
  const { helm: paths } = await tools();
  const folder = await mkdtemp(join(tmpdir(), "millrace-chart-"));
  try {
    const file = join(folder, "values.json");
    await writeFile(file, JSON.stringify(values));
    const named = command === "template" ? [release, chart] : [chart, "--strict"];
    const args = [
      command,
      ...named,
      "--namespace",
      namespace,
      "--values",
      file,
      ...(kubeVersion === undefined ? [] : ["--kube-version", kubeVersion]),
      ...(command === "template" ? apis.flatMap((api) => ["--api-versions", api]) : []),
    ];
    return await run(paths[major], args, folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** With a home of its own: neither plugins nor settings of this machine take part. */
function run(path: string, args: string[], home: string): Promise<HelmRun> {
  const env = { PATH: process.env["PATH"] ?? "", HOME: home };
  return new Promise((resolve, reject) => {
    execFile(path, args, { env, maxBuffer: outputBytesMax }, (error, stdout, stderr) => {
      if (error === null) resolve({ code: 0, stdout, stderr });
      else if (typeof error.code === "number") resolve({ code: error.code, stdout, stderr });
      else reject(error);
    });
  });
}

/** `work` for each item, two at a time, results in the order of the items: the runner has two cores. */
export async function twoAtATime<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  const waiting = items.map((item, index) => ({ item, index }));
  const worker = async () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      results[next.index] = await work(next.item);
    }
  };
  await Promise.all([worker(), worker()]);
  return results;
}

import { cacheDir } from "@millrace/cli/local";
import { type HelmMajor, obtainHelm, obtainSchemas } from "@millrace/cli/kubernetes";
import { workspace } from "../system/supplies.js";

/** What the chart is checked with; fetched into the cache where it is not there, and never done without. */
export interface ChartTools {
  helm: Record<HelmMajor, string>;
  /** By version of Kubernetes, oldest first: the file of its strict schemas. */
  schemas: Record<string, string>;
}

export async function obtainChartTools(): Promise<ChartTools> {
  const lines: string[] = [];
  const request = {
    cacheDir: cacheDir(workspace, process.env),
    env: process.env,
    log: (line: string) => lines.push(line),
  };
  const helm3 = await obtainHelm({ ...request, major: 3 });
  const helm4 = await obtainHelm({ ...request, major: 4 });
  return { helm: { 3: helm3.path, 4: helm4.path }, schemas: await obtainSchemas(request) };
}

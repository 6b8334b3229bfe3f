import { setTimeout as sleep } from "node:timers/promises";
import { fullName } from "../cluster/release.js";
import type { Sample } from "../judge/scaling.js";
import type { Context } from "./step.js";

/** Moments of the first scale-up, by `performance.now`. */
export interface FirstWork {
  /** The lag that the autoscaler sees went above its target. */
  lagMs: number;
  /** More replicas were wanted. */
  decidedMs: number;
  /** One of them had processed a message. */
  workedMs: number;
}

export interface ScaleWatch {
  readonly samples: readonly Sample[];
  replicas(): number;
  first(): FirstWork | undefined;
  stop(): Promise<void>;
}

const lookEveryMs = 1_000;

/** Looks at what the autoscaler sees, what it wants, and what new pods have done. */
export function watchScale({ kubectl, settings, checks }: Context, service: string): ScaleWatch {
  const name = `${fullName}-${service}`;
  const samples: Sample[] = [];
  const moments: Partial<FirstWork> = {};
  let isOver = false;
  let begun: number | undefined;
  const look = async (): Promise<void> => {
    const workload = await kubectl.get("statefulset", name);
    const replicas = Number(workload.spec?.["replicas"] ?? 0);
    begun ??= replicas;
    samples.push({ atMs: performance.now(), replicas });
    if (replicas > begun) moments.decidedMs ??= performance.now();
    if (moments.lagMs === undefined) {
      const { lag, target } = await lagSeen(kubectl, settings.namespace, name);
      if (lag > target) moments.lagMs = performance.now();
    }
    if (moments.decidedMs !== undefined && moments.workedMs === undefined) {
      if (await hasWorked(kubectl, `${name}-${begun}`)) moments.workedMs = performance.now();
    }
  };
  const running = (async () => {
    while (!isOver) {
      await look().catch((error: unknown) => checks.say(`     a look at ${name} failed: ${String(error)}`));
      await sleep(lookEveryMs);
    }
  })();
  return {
    samples,
    replicas: () => samples.at(-1)?.replicas ?? 0,
    first: () => {
      const { decidedMs, workedMs } = moments;
      if (decidedMs === undefined || workedMs === undefined) return undefined;
      // It may have been decided between two of our looks.
      return { lagMs: Math.min(moments.lagMs ?? decidedMs, decidedMs), decidedMs, workedMs };
    },
    async stop() {
      isOver = true;
      await running;
    },
  };
}

type Metric = {
  external?: {
    metric: { name: string; selector?: { matchLabels?: Record<string, string> } };
    target: { value?: string };
  };
};

/** The first lag of the autoscaler that is above its target, asked of the same API. */
async function lagSeen(
  kubectl: Context["kubectl"],
  namespace: string,
  name: string,
): Promise<{ lag: number; target: number }> {
  const { spec } = await kubectl.get("hpa", name);
  for (const { external } of (spec?.["metrics"] ?? []) as Metric[]) {
    if (external === undefined) continue;
    const labels = Object.entries(external.metric.selector?.matchLabels ?? {});
    const query = encodeURIComponent(labels.map(([key, value]) => `${key}=${value}`).join(","));
    const path = `/apis/external.metrics.k8s.io/v1beta1/namespaces/${namespace}/${external.metric.name}`;
    const { code, stdout } = await kubectl.try(["get", "--raw", `${path}?labelSelector=${query}`]);
    if (code !== 0) continue;
    const { items } = JSON.parse(stdout) as { items: { value: string }[] };
    const lag = items.reduce((sum, { value }) => sum + quantity(value), 0);
    const target = quantity(external.target.value ?? "0");
    if (lag > target) return { lag, target };
  }
  return { lag: 0, target: 0 };
}

/** `1500m` and `2` are what the API writes. */
export function quantity(text: string): number {
  return text.endsWith("m") ? Number(text.slice(0, -1)) / 1000 : Number(text);
}

async function hasWorked(kubectl: Context["kubectl"], pod: string): Promise<boolean> {
  const { code, stdout } = await kubectl.try([
    "exec",
    pod,
    "--",
    "node",
    "--input-type=module",
    "-e",
    tellMetrics,
  ]);
  if (code !== 0) return false;
  const counts = [...stdout.matchAll(/^millrace_messages_processed_total\{[^}]*\} (\d+)/gm)];
  return counts.some(([, count]) => Number(count) > 0);
}

/** Runs in the pod. */
const tellMetrics = `
  const answer = await fetch("http://127.0.0.1:7071/metrics");
  console.log(await answer.text());
`;

import { CodedError } from "@millrace/errors";
import { createHistogramWindow } from "./histogram-window.js";
import { findSamples } from "./prometheus-text.js";

type Pods = ReadonlyMap<string, string>;

/** A sum over all pods. Errors: `unavailable` where a pod does not tell it. */
export function sumGauge(pods: Pods, name: string): number {
  return [...pods].reduce((sum, [pod, text]) => {
    const [sample] = findSamples(text, name);
    if (sample === undefined) throw new CodedError("unavailable", `the pod at ${pod} does not tell ${name}`);
    return sum + sample.value;
  }, 0);
}

/** A sum over all pods for each value of a label. */
export function sumByLabel(pods: Pods, name: string, label: string): Map<string, number> {
  const sums = new Map<string, number>();
  for (const { labels, value } of [...pods.values()].flatMap((text) => findSamples(text, name))) {
    const key = labels[label] ?? "";
    sums.set(key, (sums.get(key) ?? 0) + value);
  }
  return sums;
}

const searchDuration = "millrace_search_duration_seconds";
const p99WindowMs = 60_000;

export interface SearchTimes {
  add(atMs: number, pods: Pods): void;
  /** Of the last minute; 0 where nobody searched. Errors: `unavailable` before the second scrape. */
  p99Ms(): number;
}

export function createSearchTimes(): SearchTimes {
  const window = createHistogramWindow(p99WindowMs);
  return {
    add: (atMs, pods) => {
      const name = `${searchDuration}_bucket`;
      window.record(atMs, new Map([...pods].map(([pod, text]) => [pod, findSamples(text, name)])));
    },
    p99Ms: () => {
      const seconds = window.quantile(0.99);
      if (seconds !== undefined) return seconds * 1000;
      throw new CodedError("unavailable", "search_p99_ms is unknown: its pods were scraped only once");
    },
  };
}

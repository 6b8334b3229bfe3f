import { writeFileSync } from "node:fs";
import { Session } from "node:inspector";
import { join } from "node:path";
import {
  constants,
  type NodeGCPerformanceDetail,
  type PerformanceEntry,
  PerformanceObserver,
} from "node:perf_hooks";
import { isMainThread } from "node:worker_threads";

// Imported by the services of a bench that is asked for profiles (Node 20 takes no --cpu-prof from
// NODE_OPTIONS).
const dir = process.env["MILLRACE_BENCH_PROFILE_DIR"];
const service = /services\/([a-z-]+)\/dist\/main\.js$/.exec(process.argv[1] ?? "")?.[1];

if (dir !== undefined && service !== undefined && isMainThread) {
  const session = new Session();
  session.connect();
  session.post("Profiler.enable");
  session.post("Profiler.setSamplingInterval", { interval: 500 });
  session.post("Profiler.start");
  const collections: Record<string, { count: number; ms: number }> = {};
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) {
      const of = (collections[collectionName(entry)] ??= { count: 0, ms: 0 });
      of.count++;
      of.ms += entry.duration;
    }
  }).observe({ entryTypes: ["gc"] });
  process.once("exit", () => {
    writeFileSync(join(dir, `${service}.gc.json`), `${JSON.stringify(collections)}\n`);
    session.post("Profiler.stop", (error, result) => {
      if (error === null) writeFileSync(join(dir, `${service}.cpuprofile`), JSON.stringify(result.profile));
    });
  });
}

/** Flags as NODE_PERFORMANCE_GC_FLAGS of perf_hooks; 32: all external memory was to go. */
function collectionName(entry: PerformanceEntry): string {
  const { kind = 0, flags = 0 } = "detail" in entry ? (entry.detail as NodeGCPerformanceDetail) : {};
  const names: Record<number, string> = {
    [constants.NODE_PERFORMANCE_GC_MINOR]: "minor",
    [constants.NODE_PERFORMANCE_GC_MAJOR]: "major",
    [constants.NODE_PERFORMANCE_GC_INCREMENTAL]: "incremental",
    [constants.NODE_PERFORMANCE_GC_WEAKCB]: "weak callbacks",
  };
  return `${names[kind] ?? String(kind)}, flags ${flags}`;
}

import { CodedError } from "@millrace/errors";
import { type BenchContext, inContext } from "./bench-context.js";
import { parseBench, refused } from "./bench-options.js";
import { runGrowth } from "./growth/run-growth.js";
import { runKafka } from "./kafka/run-kafka.js";
import { runLargeFile } from "./large-file/run-large-file.js";
import { runLatency } from "./latency/run-latency.js";
import { runPipeline } from "./pipeline/run-pipeline.js";
import { runPeers } from "./peers/run-peers.js";
import { runPublish } from "./publish/run-publish.js";
import { note } from "./report.js";
import { runSearch } from "./search/run-search.js";
import { runStage } from "./stage/run-stage.js";
import { runSubscribers } from "./subscribers/run-subscribers.js";

const benches: Readonly<Record<string, (context: BenchContext) => Promise<void>>> = {
  pipeline: runPipeline,
  growth: runGrowth,
  kafka: runKafka,
  largefile: runLargeFile,
  latency: runLatency,
  publish: runPublish,
  peers: runPeers,
  search: runSearch,
  stage: runStage,
  subscribers: runSubscribers,
};

const stopping = new AbortController();
for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  // The second one ends the process at once; programs and directories then go on its exit.
  process.on(name, () => (stopping.signal.aborted ? process.exit(130) : stopping.abort()));
}

try {
  const { name, options } = parseBench(process.argv.slice(2));
  const run = Object.hasOwn(benches, name) ? benches[name] : undefined;
  if (run === undefined) throw refused(name === "" ? "no bench is named" : `there is no bench ${name}`);
  await inContext(options, stopping.signal, run);
} catch (caught) {
  process.exitCode = stopping.signal.aborted ? 130 : 1;
  note(stopping.signal.aborted ? "stopped" : describe(caught));
}

function describe(caught: unknown): string {
  if (caught instanceof CodedError) return `${caught.message}\n${caught.remedy ?? ""}`.trimEnd();
  return caught instanceof Error ? (caught.stack ?? caught.message) : String(caught);
}

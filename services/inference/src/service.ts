import { setPriority } from "node:os";
import {
  connectAs,
  consumeBatches,
  consumeOrdered,
  countDead,
  createBatchPublisher,
  createDeadLetterWriter,
  createLedger,
  createPublisher,
  createStoredTracker,
  createStreamRegistry,
  createTrial,
  embedEndpoint,
  serveRequests,
} from "@millrace/messaging";
import { type BuildService, type Component, createRangeClient } from "@millrace/runtime";
import { createBodyReader, keepReader, openBodyStore } from "@millrace/segments";
import type { InferenceConfig } from "./config.js";
import { analyseBatch } from "./handlers/analyse-batch.js";
import { embedTexts } from "./handlers/embed-texts.js";
import { type ModelPool, modelPool } from "./model/model-pool.js";

/** Runs the text model over clean batches, and over the texts of requests. */
export const inference: BuildService<InferenceConfig> = async (config, runtime) => {
  const { log, clock } = runtime;
  // Threads inherit it, so before the model's are made.
  if (config.niceness > 0) setPriority(config.niceness);
  const { manifestPath, directory, text, workers, queuedTextsMax } = config.models;
  const pool = await modelPool({
    location: { manifestPath, modelsDirectory: directory, name: text },
    workers,
    queuedTextsMax,
    onWorkerLost: (error) => log.error("model worker lost, starting another", { error: String(error) }),
  });
  const broker = await connectAs("inference", config, runtime);
  const publisher = createPublisher(broker);
  const tracker = createStoredTracker(broker, runtime);
  const ledger = await createLedger(broker, "inference", runtime);
  const registry = await createStreamRegistry(broker);
  const { node, segments, peers } = config;
  const ranges = createRangeClient(peers, clock);
  const reader = createBodyReader({ dirs: { clean: segments.cleanDir }, node, fetch: ranges.fetch });
  const bodies = await openBodyStore({
    sideDir: segments.cleanDir,
    side: "clean",
    owner: `inference-${config.instance}`,
    node,
    segmentBytes: segments.segmentBytes,
    liveBytesMax: segments.liveBytesMax,
    monotonic: clock.monotonic,
    roomWaitMs: 5_000,
    onBroken: runtime.fail,
  });
  const batches = createBatchPublisher(publisher, tracker, bodies, runtime);
  const from = { stage: "inference", side: "clean" } as const;
  const deadLetters = createDeadLetterWriter({ publisher, ...from, now: clock.now });
  const trial = createTrial({
    runtime,
    module: new URL("./handlers/try-analysis.js", import.meta.url),
    config,
    streamOf: registry.findFor,
    // A batch is about a second of work on a machine that has nothing else to do.
    budgetMs: 20_000,
  });
  const options = {
    broker,
    runtime,
    publisher,
    batches,
    deadLetters,
    open: reader.open,
    release: reader.release,
    handle: analyseBatch({ pool, registry, version: runtime.version, now: clock.now }),
    trial,
    parallelismOf: registry.parallelismOf,
    onDead: countDead(ledger),
  };
  const lane = (consumer: string, inFlightMax: number, parallelismDefault: number) =>
    consumeBatches({ ...options, consumer, inFlightMax, parallelismDefault });
  registry.onStream(({ tenant, name, stream }) => {
    if (stream === undefined) ledger.forget(tenant, name);
  });
  return [
    poolComponent(pool),
    broker,
    ranges,
    keepReader(reader, runtime),
    registry,
    ledger,
    tracker,
    batches,
    serveRequests(broker, runtime, embedEndpoint, embedTexts({ pool })),
    trial,
    lane("inference-high", config.inFlight.highMax, config.inFlight.highMax),
    lane("inference-batch", config.inFlight.batchMax, config.inFlight.parallelism),
    consumeOrdered({ ...options, stage: "inference" }),
  ];
};

function poolComponent(pool: ModelPool): Component {
  return {
    name: "model-pool",
    health: () => {
      const { workersReady, workersWanted, failure } = pool.health();
      if (workersReady > 0) return undefined;
      return `no model worker of ${workersWanted} is ready: ${failure ?? "starting"}`;
    },
    // A worker must end by itself: killed in a run, it takes the process with it.
    stop: () => pool.close(),
  };
}

import { setPriority } from "node:os";
import { shownReason } from "@millrace/errors";
import {
  type BatchPublisher,
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
  drainBodies,
  embedEndpoint,
  serveRedrive,
  serveRequests,
} from "@millrace/messaging";
import {
  type BuildService,
  type Component,
  createRangeClient,
  createRangeServer,
  type Runtime,
} from "@millrace/runtime";
import {
  type BodyStore,
  createBodyReader,
  inferredFolder,
  keepReader,
  openBodyStore,
  type ReadDirs,
} from "@millrace/segments";
import type { InferenceConfig } from "./config.js";
import { analyseBatch } from "./handlers/analyse-batch.js";
import { embedTexts } from "./handlers/embed-texts.js";
import { imageModelsOf } from "./image/image-entry.js";
import { imagePool } from "./image/image-pool.js";
import { checkObjectModel } from "./image/image-weights.js";
import { type ModelPool, modelPool } from "./model/model-pool.js";

/** Runs models over clean batches, and the text model over the texts of requests. */
export const inference: BuildService<InferenceConfig> = async (config, runtime) => {
  const { log, clock } = runtime;
  // Threads inherit it, so before the model's are made.
  if (config.niceness > 0) setPriority(config.niceness);
  const { manifestPath, directory, text, workers, queuedTextsMax } = config.models;
  await checkObjectModel(imageModelsOf(config));
  const pool = await modelPool({
    location: { manifestPath, modelsDirectory: directory, name: text },
    workers,
    queuedTextsMax,
    onWorkerLost: (error) => log.error("model worker lost, starting another", { error: String(error) }),
  });
  const images = imagePool({
    location: imageModelsOf(config),
    onMissing: (error) =>
      log.error("a model for images is missing", { error: shownReason(error), remedy: error.remedy }),
  });
  const broker = await connectAs("inference", config, runtime);
  const publisher = createPublisher(broker);
  const tracker = createStoredTracker(broker, runtime);
  const ledger = await createLedger(broker, "inference", runtime);
  const registry = await createStreamRegistry(broker);
  const ranges = createRangeClient({ ...config, runtime });
  const reader = createBodyReader({ dirs: dirsOf(config), node: config.node, fetch: ranges.fetch });
  const bodies = await openOwnBodies(config, runtime);
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
    handle: analyseBatch({ pool, images, registry, version: runtime.version, now: clock.now }),
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
    { name: "image-pool", stop: () => images.close() },
    broker,
    ranges,
    keepReader(reader, runtime),
    registry,
    ledger,
    tracker,
    batches,
    ...serveBodies(config, { runtime, batches, healthy: broker.isConnected }),
    serveRequests(broker, runtime, embedEndpoint, embedTexts({ pool })),
    serveRedrive("inference", { ...options, ledger }),
    trial,
    lane("inference-high", config.inFlight.highMax, config.inFlight.highMax),
    lane("inference-batch", config.inFlight.batchMax, config.inFlight.parallelism),
    consumeOrdered({ ...options, stage: "inference" }),
  ];
};

function openOwnBodies({ instance, node, segments }: InferenceConfig, runtime: Runtime): Promise<BodyStore> {
  const { cleanDir, ownDir, segmentBytes, liveBytesMax } = segments;
  return openBodyStore({
    sideDir: ownDir ?? cleanDir,
    folder: ownDir === undefined ? undefined : inferredFolder,
    side: "clean",
    owner: `inference-${instance}`,
    node,
    segmentBytes,
    liveBytesMax,
    monotonic: runtime.clock.monotonic,
    roomWaitMs: 5_000,
    onBroken: runtime.fail,
  });
}

const dirsOf = ({ segments: { cleanDir, ownDir } }: InferenceConfig): ReadDirs => ({
  clean: cleanDir,
  ...(ownDir === undefined ? {} : { inferred: ownDir }),
});

/** For stages on other nodes, until they are through with what was written here. */
function serveBodies(
  config: InferenceConfig,
  of: { runtime: Runtime; batches: BatchPublisher; healthy(): boolean },
): Component[] {
  const { cleanRead: listen, node, tls } = config;
  if (listen === undefined) return [];
  const { runtime, batches, healthy } = of;
  const reader = createBodyReader({ dirs: dirsOf(config) });
  const { log } = runtime;
  const server = createRangeServer({ listen, reader, side: "clean", tls, log, node, healthy });
  return [keepReader(reader, runtime), server, drainBodies([batches], runtime)];
}

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

import {
  type BatchPublisher,
  cleanEndpoint,
  connectAs,
  consumeBatches,
  consumeOrdered,
  countDead,
  createBatchPublisher,
  createDeadLetterWriter,
  createLaneTurns,
  createLedger,
  createPublisher,
  createStoredTracker,
  createStreamRegistry,
  drainBodies,
  readingEndpoint,
  createTrial,
  serveRequests,
  type StreamRegistry,
} from "@millrace/messaging";
import {
  type BuildService,
  type Component,
  createRangeClient,
  createRangeServer,
  type Logger,
  type RangeClient,
  type Runtime,
} from "@millrace/runtime";
import {
  createBodyPool,
  createBodyReader,
  keepReader,
  openBodyStore,
  readingOf,
  tellReading,
} from "@millrace/segments";
import type { PrivacyConfig } from "./config.js";
import { createFilters } from "./filter/filters.js";
import { createFilterPool } from "./filter/pool/filter-pool.js";
import { readPseudonymKey } from "./filter/pseudonym-key.js";
import { cleanTexts } from "./handlers/clean-texts.js";
import { filterBatch } from "./handlers/filter-batch.js";

/** The only reader of RAW: what leaves here holds no personal data that the stream's policy looks for. */
export const privacy: BuildService<PrivacyConfig> = async (config, runtime) => {
  const { log, clock, metrics, version } = runtime;
  const filters = createFilters(await readPseudonymKey(config.pseudonymKeyFile));
  const broker = await connectAs("privacy", config, runtime);
  const publisher = createPublisher(broker);
  const tracker = createStoredTracker(broker, runtime);
  const ledger = await createLedger(broker, "privacy", runtime);
  const registry = await createStreamRegistry(broker);
  const ranges = createRangeClient({ ...config, runtime });
  const reader = createReader(config, registry, ranges);
  const bodies = await openBodyStore({
    sideDir: config.segments.cleanDir,
    side: "clean",
    owner: `privacy-${config.instance}`,
    node: config.node,
    segmentBytes: config.segments.segmentBytes,
    liveBytesMax: config.segments.liveBytesMax,
    monotonic: clock.monotonic,
    roomWaitMs: 5_000,
    onBroken: runtime.fail,
  });
  const batches = createBatchPublisher(publisher, tracker, bodies, runtime);
  const deadLetters = createDeadLetterWriter({ publisher, stage: "privacy", side: "raw", now: clock.now });
  const redaction = createRedaction(config, log);
  const found = metrics.counter("millrace_findings_total", "Personal data found, by type.", ["type"]);
  // Filtering keeps its thread busy: a batch a thread, and after each the event loop looks for a high one.
  const turns = createLaneTurns({ places: config.filter.threadsMax });
  const trial = createTrial({
    runtime,
    module: new URL("./handlers/try-filter.js", import.meta.url),
    config,
    streamOf: registry.findFor,
  });
  const options = {
    broker,
    runtime,
    publisher,
    batches,
    deadLetters,
    open: reader.open,
    verify: reader.stillTrue,
    release: reader.release,
    handle: filterBatch({ filters, registry, ...redaction, found, version, now: clock.now }),
    turns,
    trial,
    parallelismOf: registry.parallelismOf,
    parallelismDefault: config.parallelism,
    onDead: countDead(ledger),
  };
  const lane = (consumer: string) =>
    consumeBatches({ ...options, consumer, inFlightMax: config.inFlightMax });
  registry.onStream(({ tenant, name, stream }) => {
    if (stream !== undefined) return;
    ledger.forget(tenant, name);
    reader.forget(tenant, name);
  });
  return [
    broker,
    ranges,
    keepReader(reader, runtime),
    registry,
    ledger,
    tracker,
    batches,
    ...serveBodies(config, { runtime, batches, healthy: broker.isConnected }),
    serveRequests(broker, runtime, cleanEndpoint, cleanTexts({ filters, registry })),
    serveRequests(broker, runtime, readingEndpoint("privacy"), tellReading(reader)),
    { name: "filter-pool", stop: redaction.pool.close },
    trial,
    lane("privacy-high"),
    lane("privacy-batch"),
    consumeOrdered({ ...options, stage: "privacy" }),
  ];
};

/** For stages on other nodes, until they are through with what was written here. */
function serveBodies(
  { cleanRead: listen, node, tls, segments }: PrivacyConfig,
  of: { runtime: Runtime; batches: BatchPublisher; healthy(): boolean },
): Component[] {
  if (listen === undefined) return [];
  const { runtime, batches, healthy } = of;
  const reader = createBodyReader({ dirs: { clean: segments.cleanDir } });
  const { log } = runtime;
  const server = createRangeServer({ listen, reader, side: "clean", tls, log, node, healthy });
  return [keepReader(reader, runtime), server, drainBodies([batches], runtime)];
}

/** Raw bodies of this node from the disk, those of others over the network. */
function createReader(
  { segments, node }: PrivacyConfig,
  registry: StreamRegistry,
  { fetch }: Pick<RangeClient, "fetch">,
) {
  return createBodyReader({
    dirs: { raw: segments.rawDir },
    node,
    fetch,
    mmapBytesMax: segments.mmapBytesMax,
    reading: async ({ tenant, stream }) => readingOf(await registry.find(tenant, stream)),
  });
}

/** The threads that redact, and the memory for what they and this thread make. */
function createRedaction({ filter }: PrivacyConfig, log: Logger) {
  return {
    bodies: createBodyPool(),
    shared: createBodyPool({ shared: true }),
    threads: filter.threads,
    pool: createFilterPool({
      threadsMax: filter.threadsMax,
      onThreadLost: (error) => log.error("a filter thread was lost", { error: error.message }),
    }),
  };
}

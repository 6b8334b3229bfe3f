import { CodedError } from "@millrace/errors";
import {
  batchShelf,
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
  createRedrive,
  createStoredTracker,
  createStreamRegistry,
  drainBodies,
  keepLetters,
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
import { isOfImage } from "./image/filter-images.js";
import { createImageFilter, type ImageFilter } from "./image/image-filter.js";
import { createFilterPool } from "./filter/pool/filter-pool.js";
import { readPseudonymKey } from "./filter/pseudonym-key.js";
import { cleanTexts } from "./handlers/clean-texts.js";
import { filterBatch } from "./handlers/filter-batch.js";
import { showLetter } from "./handlers/show-letter.js";

/** The only reader of RAW: what leaves here holds no personal data that the stream's policy looks for. */
export const privacy: BuildService<PrivacyConfig> = async (config, runtime) => {
  const { clock } = runtime;
  const filters = createFilters(await readPseudonymKey(config.pseudonymKeyFile));
  const broker = await connectAs("privacy", config, runtime);
  const publisher = createPublisher(broker);
  const tracker = createStoredTracker(broker, runtime);
  const ledger = await createLedger(broker, "privacy", runtime);
  const registry = await createStreamRegistry(broker);
  const ranges = createRangeClient({ ...config, runtime });
  const reader = createReader(config, registry, ranges);
  const bodies = await openOwnBodies(config, runtime);
  const batches = createBatchPublisher(publisher, tracker, bodies, runtime);
  const deadLetters = createDeadLetterWriter({ publisher, stage: "privacy", side: "raw", now: clock.now });
  const redaction = createRedaction(config, runtime);
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
    handle: filterBatch({ filters, registry, ...redaction.parts }),
    turns,
    trial,
    parallelismOf: registry.parallelismOf,
    parallelismDefault: config.parallelism,
    onDead: countDead(ledger),
  };
  const lane = (consumer: string) =>
    consumeBatches({ ...options, consumer, inFlightMax: config.inFlightMax });
  forgetDeleted(registry, [ledger, reader]);
  const show = showLetter({ filters, trial });
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
    ...keepLetters({
      broker,
      runtime,
      keeper: "privacy",
      shelves: [batchShelf({ side: "raw", show, redrive: createRedrive({ ...options, ledger }) })],
    }),
    ...redaction.components,
    trial,
    lane("privacy-high"),
    lane("privacy-batch"),
    consumeOrdered({ ...options, stage: "privacy" }),
  ];
};

function openOwnBodies({ segments, instance, node }: PrivacyConfig, { clock, fail }: Runtime) {
  return openBodyStore({
    sideDir: segments.cleanDir,
    side: "clean",
    owner: `privacy-${instance}`,
    node,
    segmentBytes: segments.segmentBytes,
    liveBytesMax: segments.liveBytesMax,
    monotonic: clock.monotonic,
    roomWaitMs: 5_000,
    onBroken: fail,
  });
}

function forgetDeleted(
  registry: StreamRegistry,
  holders: readonly { forget(tenant: string, stream: string): void }[],
): void {
  registry.onStream(({ tenant, name, stream }) => {
    if (stream === undefined) for (const holder of holders) holder.forget(tenant, name);
  });
}

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

/** The processes that clean images; none runs until one comes. */
function createImages({ images }: PrivacyConfig, { clock, log, metrics }: Runtime): ImageFilter {
  const { manifestPath, directory, faces, processesMax } = images;
  const count = metrics.counter("millrace_images_total", "Images that were cleaned or refused.", ["result"]);
  const filter = createImageFilter({
    location: { manifestPath, directory, name: faces },
    processesMax,
    monotonic: clock.monotonic,
    onLost: (error) => log.error("an image process was lost", { error: error.message }),
  });
  return {
    ...filter,
    clean: async (bytes) => {
      try {
        const image = await filter.clean(bytes);
        count.inc({ result: "cleaned" });
        return image;
      } catch (caught) {
        if (isOfImage(CodedError.from(caught, "filter an image"))) count.inc({ result: "refused" });
        throw caught;
      }
    },
  };
}

/** The threads that redact, the memory for what they and this thread make, and the processes for images. */
function createRedaction(config: PrivacyConfig, runtime: Runtime) {
  const { log, clock, metrics, version } = runtime;
  const { threads, threadsMax } = config.filter;
  const images = createImages(config, runtime);
  const pool = createFilterPool({
    threadsMax,
    onThreadLost: (error) => log.error("a filter thread was lost", { error: error.message }),
  });
  const components: Component[] = [
    { name: "filter-pool", stop: pool.close },
    { name: "image-filter", stop: images.close },
  ];
  const parts = {
    bodies: createBodyPool(),
    shared: createBodyPool({ shared: true }),
    threads,
    pool,
    cleanImage: images.clean,
    found: metrics.counter("millrace_findings_total", "Personal data found, by type.", ["type"]),
    version,
    now: clock.now,
  };
  return { parts, components };
}

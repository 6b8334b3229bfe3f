import {
  type Broker,
  connectAs,
  consumeBatches,
  consumeOrdered,
  countDead,
  createDeadLetterWriter,
  createLedger,
  createPublisher,
  createStreamRegistry,
  createTrial,
  eraseStored,
  findEndpoint,
  type Publisher,
  readLastStored,
  replaceVectorEndpoint,
  serveRedrive,
  serveRequests,
  type StreamRegistry,
  untilSettled,
} from "@millrace/messaging";
import { CodedError } from "@millrace/errors";
import { type BuildService, type Component, createRangeClient, type Runtime } from "@millrace/runtime";
import { createBodyReader, keepReader } from "@millrace/segments";
import type { SemanticSearchConfig } from "./config.js";
import { createFreshness } from "./freshness/freshness.js";
import { createEmbeddingsTail } from "./freshness/embeddings-tail.js";
import { findContents } from "./handlers/find-contents.js";
import { replaceVector } from "./handlers/replace-vector.js";
import { storeEmbeddings } from "./handlers/store-embeddings.js";
import { similarPairs } from "./similarity/similar-pairs.js";
import { createVectorIndex, type VectorIndex } from "./index/vector-index.js";

/** Keeps vectors in EMBEDDINGS, tails them into an index, and searches that. */
export const semanticSearch: BuildService<SemanticSearchConfig> = async (config, runtime) => {
  const { clock } = runtime;
  const { model, dimensions, vectorsMax } = config;
  const index = await createVectorIndex({ model, dimensions, vectorsMax });
  const broker = await connectAs("semantic-search", config, runtime);
  const publisher = createPublisher(broker);
  const ledger = await createLedger(broker, "search", runtime);
  const registry = await createStreamRegistry(broker);
  const { node, segments } = config;
  const ranges = createRangeClient({ ...config, runtime });
  const reader = createBodyReader({ dirs: { clean: segments.cleanDir }, node, fetch: ranges.fetch });
  const deadLetters = createDeadLetterWriter({ publisher, stage: "search", side: "clean", now: clock.now });
  const tail = createEmbeddingsTail({ broker, index, runtime });
  const freshness = createFreshness({ ledger, tail, broker, clock });
  const trial = createTrial({
    runtime,
    module: new URL("./handlers/try-embeddings.js", import.meta.url),
    config,
    streamOf: registry.findFor,
  });
  const options = {
    broker,
    runtime,
    publisher,
    deadLetters,
    open: reader.open,
    release: reader.release,
    handle: storeEmbeddings({
      registry,
      ledger,
      similarPairs: (vectors, threshold) => similarPairs({ index, tail, ...clock }, vectors, threshold),
      publisher,
      now: clock.now,
    }),
    trial,
    parallelismOf: registry.parallelismOf,
    parallelismDefault: config.parallelism,
    onDead: countDead(ledger),
  };
  const lane = (consumer: string): Component =>
    consumeBatches({ ...options, consumer, inFlightMax: config.inFlightMax });
  registry.onStream(({ tenant, name, stream }) => {
    if (stream !== undefined) return;
    ledger.forget(tenant, name);
    index
      .removeStream(tenant, name)
      .catch((caught: unknown) => runtime.fail(CodedError.from(caught, "remove stream from index")));
  });
  const durations = runtime.metrics.histogram(
    "millrace_search_duration_seconds",
    "Of searches in the index, their queue included.",
  );
  const find = findContents({
    index,
    freshness,
    registry,
    readLast: (subject) => readLastStored(broker, "EMBEDDINGS", subject),
    monotonic: clock.monotonic,
    onSearched: (seconds) => durations.observe(seconds),
  });
  return [
    indexComponent(index),
    broker,
    ranges,
    keepReader(reader, runtime),
    registry,
    ledger,
    tail,
    serveRequests(broker, runtime, findEndpoint, find),
    serveReplacements(broker, runtime, { registry, publisher }),
    serveRedrive("semantic-search", { ...options, ledger }),
    trial,
    lane("search-high"),
    lane("search-batch"),
    consumeOrdered({ ...options, stage: "search" }),
  ];
};

function indexComponent(index: VectorIndex): Component {
  return {
    name: "vector-index",
    health: () => index.failure()?.message,
    stop: () => index.close(),
  };
}

/** What output asks for, of contents that it rewrites or erases. */
function serveReplacements(
  broker: Broker,
  runtime: Runtime,
  { registry, publisher }: { registry: StreamRegistry; publisher: Publisher },
): Component {
  const replace = replaceVector({
    registry,
    untilSettled: (of) => untilSettled(broker, runtime.clock, { ...of, stage: "search" }),
    readLast: (subject) => readLastStored(broker, "EMBEDDINGS", subject),
    erase: (seq) => eraseStored(broker, "EMBEDDINGS", seq),
    publish: publisher.publish,
  });
  return serveRequests(broker, runtime, replaceVectorEndpoint, replace);
}

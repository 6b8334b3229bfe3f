import {
  connectAs,
  consumeBatches,
  consumeOrdered,
  countDead,
  createDeadLetterWriter,
  createLedger,
  createParking,
  createPublisher,
  createStreamRegistry,
  createTrial,
  drainParked,
  type Handler,
  type Ledger,
  readingEndpoint,
  serveRequests,
} from "@millrace/messaging";
import { type BuildService, type Component, createRangeClient, createSecrets } from "@millrace/runtime";
import { createBodyReader, keepReader, readingOf, tellReading } from "@millrace/segments";
import type { OutputConfig } from "./config.js";
import { contentRequests } from "./content-requests.js";
import { publishResults } from "./handlers/publish-results.js";
import { sendToKafka } from "./handlers/send-to-kafka.js";
import { storeBatch } from "./handlers/store-batch.js";
import { createKafkaSinks } from "./kafka/kafka-sinks.js";
import { createResults } from "./result-parts.js";
import { createStores } from "./store/stores.js";

interface Sink {
  ledger: Ledger;
  handle: Handler;
  /** The module that its trials load. */
  tries: URL;
}

/** Delivers enriched batches: results for subscribers, contents of artifacts, events, and files. */
export const output: BuildService<OutputConfig> = async (config, runtime) => {
  const { clock } = runtime;
  const broker = await connectAs("output", config, runtime);
  const publisher = createPublisher(broker);
  const results = await createLedger(broker, "results", runtime);
  const stored = await createLedger(broker, "store", runtime);
  const sent = await createLedger(broker, "kafka", runtime);
  const registry = await createStreamRegistry(broker);
  const { cleanDir, mmapBytesMax } = config.segments;
  const ranges = createRangeClient({ ...config, runtime });
  const reader = createBodyReader({
    dirs: { clean: cleanDir },
    node: config.node,
    fetch: ranges.fetch,
    mmapBytesMax,
    reading: async ({ tenant, stream }) => readingOf(await registry.find(tenant, stream)),
  });
  const stores = createStores({
    stillTrue: reader.stillTrue,
    config: config.storage,
    instance: config.instance,
    ledger: stored,
    registry,
    runtime,
  });
  const kafka = createKafkaSinks({
    registry,
    secrets: createSecrets({ dir: config.secretsDir }),
    stillTrue: reader.stillTrue,
  });
  const { budget, components } = await createResults(broker, runtime, registry);
  const stage = (name: "results" | "store" | "kafka", { ledger, handle, tries }: Sink): Component[] => {
    const parking = createParking({ broker, runtime, publisher, stage: name });
    const trial = createTrial({ runtime, module: tries, config, streamOf: registry.findFor });
    const options = {
      broker,
      runtime,
      publisher,
      deadLetters: createDeadLetterWriter({ publisher, stage: name, side: "clean", now: clock.now }),
      open: reader.open,
      verify: reader.stillTrue,
      release: reader.release,
      handle,
      trial,
      parking,
      parallelismOf: registry.parallelismOf,
      parallelismDefault: config.parallelism,
      onDead: countDead(ledger),
    };
    const lanes = (["high", "batch"] as const).map((lane) =>
      consumeBatches({ ...options, consumer: `${name}-${lane}`, inFlightMax: config.inFlightMax }),
    );
    const ordered = consumeOrdered({ ...options, stage: name });
    return [trial, parking, drainParked(options), ...lanes, ordered];
  };
  registry.onStream(({ tenant, name, stream }) => {
    if (stream !== undefined) return;
    results.forget(tenant, name);
    stored.forget(tenant, name);
    sent.forget(tenant, name);
    budget.forget(tenant, name);
    reader.forget(tenant, name);
  });
  const { version } = runtime;
  const toResults: Sink = {
    ledger: results,
    handle: publishResults({ registry, ledger: results, budget, version, now: clock.now }),
    tries: new URL("./handlers/try-results.js", import.meta.url),
  };
  const toStore: Sink = {
    ledger: stored,
    handle: storeBatch({ registry, stores }),
    tries: new URL("./handlers/try-store.js", import.meta.url),
  };
  const toKafka: Sink = {
    ledger: sent,
    handle: sendToKafka({ registry, ledger: sent, sinks: kafka }),
    tries: new URL("./handlers/try-kafka.js", import.meta.url),
  };
  return [
    broker,
    ranges,
    keepReader(reader, runtime),
    results,
    stored,
    stores,
    sent,
    kafka,
    registry,
    ...components,
    serveRequests(broker, runtime, readingEndpoint("output"), tellReading(reader)),
    ...contentRequests({ broker, runtime, registry, publisher, budget }),
    ...stage("results", toResults),
    ...stage("store", toStore),
    ...stage("kafka", toKafka),
  ];
};

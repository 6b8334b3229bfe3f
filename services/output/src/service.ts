import {
  connectAs,
  consumeBatches,
  consumeOrdered,
  countDead,
  createDeadLetterWriter,
  createLedger,
  createParking,
  createPublisher,
  createRedrive,
  createStreamRegistry,
  createTrial,
  drainParked,
  type Handler,
  keepLetters,
  type Ledger,
  readingEndpoint,
  type Redrive,
  type RedriveParts,
  serveRequests,
  type StreamRegistry,
} from "@millrace/messaging";
import {
  type BuildService,
  type Component,
  createRangeClient,
  createSecrets,
  type RangeClient,
} from "@millrace/runtime";
import { createBodyReader, keepReader, readingOf, tellReading } from "@millrace/segments";
import type { OutputConfig } from "./config.js";
import { contentRequests } from "./content-requests.js";
import { publishResults } from "./handlers/publish-results.js";
import { sendToKafka } from "./handlers/send-to-kafka.js";
import { storeBatch } from "./handlers/store-batch.js";
import { createKafkaSinks } from "./kafka/kafka-sinks.js";
import { createResults } from "./result-parts.js";
import { cleanShelf } from "./clean-shelf.js";
import { openTriggers } from "./open-triggers.js";
import { createStores } from "./store/stores.js";
import { tapRequests } from "./tap-requests.js";

interface Sink {
  ledger: Ledger;
  handle: Handler;
  /** The module that its trials load. */
  tries: URL;
  onReopened?: RedriveParts["onReopened"];
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
  const ranges = createRangeClient({ ...config, runtime });
  const reader = createReader(config, registry, ranges);
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
  const kept = { broker, runtime, registry, publisher, budget };
  const triggers = await openTriggers(config, kept);
  const redrives = new Map<string, Redrive>();
  const stage = (name: "results" | "store" | "kafka", sink: Sink): Component[] => {
    const { ledger, handle, tries, onReopened } = sink;
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
    redrives.set(name, createRedrive({ ...options, ledger, ...(onReopened && { onReopened }) }));
    return [trial, parking, drainParked(options), ...lanes, ordered];
  };
  registry.onStream(({ tenant, name, stream }) => {
    if (stream !== undefined) return;
    for (const holder of [results, stored, sent, budget, reader]) holder.forget(tenant, name);
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
    onReopened: async (open) => {
      const stream = await registry.findFor(open.header);
      if (stream?.outputs?.storage !== undefined) await stores.reopen(open, stream);
    },
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
    ...contentRequests(kept),
    ...tapRequests(config, { broker, runtime, registry, ranges }),
    ...stage("results", toResults),
    ...stage("store", toStore),
    ...stage("kafka", toKafka),
    ...keepLetters({
      broker,
      runtime,
      keeper: "output",
      shelves: [cleanShelf(broker, redrives), triggers.shelf],
    }),
    ...triggers.components,
  ];
};

/** Clean bodies of this node from the disk, those of others over the network. */
function createReader(
  { segments, node }: OutputConfig,
  registry: StreamRegistry,
  { fetch }: Pick<RangeClient, "fetch">,
) {
  return createBodyReader({
    dirs: { clean: segments.cleanDir },
    node,
    fetch,
    mmapBytesMax: segments.mmapBytesMax,
    reading: async ({ tenant, stream }) => readingOf(await registry.find(tenant, stream)),
  });
}

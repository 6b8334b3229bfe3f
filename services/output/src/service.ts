import {
  connectBroker,
  consumeBatches,
  countDead,
  createDeadLetterWriter,
  createLedger,
  createPublisher,
  createStreamRegistry,
  type Handler,
  type LaneToken,
  type Ledger,
  readingEndpoint,
  serveRequests,
  storedSizes,
} from "@millrace/messaging";
import type { BuildService, Component } from "@millrace/runtime";
import { createBodyReader, readingOf, tellReading } from "@millrace/segments";
import type { OutputConfig } from "./config.js";
import { publishResults } from "./handlers/publish-results.js";
import { storeBatch } from "./handlers/store-batch.js";
import { createResultBudget } from "./results/result-budget.js";
import { createStores } from "./store/stores.js";

interface Sink {
  ledger: Ledger;
  handle: Handler;
}

/** Delivers enriched batches: results for subscribers, contents of artifacts, events, and files. */
export const output: BuildService<OutputConfig> = async (config, runtime) => {
  const { log, clock } = runtime;
  const broker = await connectBroker({ ...config.nats, user: "output", log, onClosed: runtime.fail });
  const publisher = createPublisher(broker);
  const results = await createLedger(broker, "results", runtime);
  const stored = await createLedger(broker, "store", runtime);
  const registry = await createStreamRegistry(broker);
  const { cleanDir, mmapBytesMax } = config.segments;
  const reader = createBodyReader({
    dirs: { clean: cleanDir },
    mmapBytesMax,
    reading: async ({ tenant, stream }) => readingOf(await registry.find(tenant, stream)),
  });
  const stores = createStores({
    config: config.storage,
    instance: config.instance,
    ledger: stored,
    registry,
    runtime,
  });
  const budget = createResultBudget({
    storedSizes: (subject) => storedSizes(broker, "RESULT", subject),
    purge: async (filter, seq) => void (await broker.manager.streams.purge("RESULT", { filter, seq })),
    onError: (what, error) => log.warn(what, { error: String(error) }),
  });
  const lane = (stage: "results" | "store", lane: LaneToken, { ledger, handle }: Sink): Component =>
    consumeBatches({
      broker,
      runtime,
      publisher,
      deadLetters: createDeadLetterWriter({ publisher, stage, side: "clean", now: clock.now }),
      consumer: `${stage}-${lane}`,
      open: reader.open,
      verify: reader.stillTrue,
      release: reader.release,
      handle,
      onDead: countDead(ledger),
      inFlightMax: config.inFlightMax,
    });
  registry.onStream(({ tenant, name, stream }) => {
    if (stream !== undefined) return;
    results.forget(tenant, name);
    stored.forget(tenant, name);
    budget.forget(tenant, name);
    reader.forget(tenant, name);
  });
  const { version } = runtime;
  const toResults: Sink = {
    ledger: results,
    handle: publishResults({ registry, ledger: results, budget, version, now: clock.now }),
  };
  const toStore: Sink = { ledger: stored, handle: storeBatch({ registry, stores }) };
  return [
    broker,
    results,
    stored,
    stores,
    registry,
    serveRequests(broker, runtime, readingEndpoint("output"), tellReading(reader)),
    lane("results", "high", toResults),
    lane("results", "batch", toResults),
    lane("store", "high", toStore),
    lane("store", "batch", toStore),
  ];
};

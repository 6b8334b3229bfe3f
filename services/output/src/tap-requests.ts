import { type Broker, serveRequests, showBatchEndpoint, type StreamRegistry } from "@millrace/messaging";
import type { Component, RangeClient, Runtime } from "@millrace/runtime";
import { createBodyReader, keepReader } from "@millrace/segments";
import type { OutputConfig } from "./config.js";
import { showBatch } from "./handlers/show-batch.js";

export interface TapParts {
  broker: Broker;
  runtime: Runtime;
  registry: StreamRegistry;
  ranges: RangeClient;
}

/** For taps, through a reader of its own: what is looked at is not counted as read by the sinks. */
export function tapRequests({ segments, node }: OutputConfig, parts: TapParts): Component[] {
  const { broker, runtime, registry, ranges } = parts;
  const reader = createBodyReader({ dirs: { clean: segments.cleanDir }, node, fetch: ranges.fetch });
  registry.onStream(({ tenant, name, stream }) => {
    if (stream === undefined) reader.forget(tenant, name);
  });
  return [keepReader(reader, runtime), serveRequests(broker, runtime, showBatchEndpoint, showBatch(reader))];
}

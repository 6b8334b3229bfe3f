import { limits } from "@millrace/envelope";
import {
  connectBroker,
  createBatchPublisher,
  createPublisher,
  createStoredTracker,
  createStreamRegistry,
} from "@millrace/messaging";
import type { BuildService, Runtime } from "@millrace/runtime";
import { type BodyStore, inlineBodyStore, openBodyStore } from "@millrace/segments";
import type { IngestionConfig } from "./config.js";
import { appendFrame } from "./handlers/append-frame.js";
import { rejectLine } from "./handlers/reject-line.js";
import { createBufferClient } from "./source/buffer-client.js";
import { createBufferPublisher } from "./source/buffer-publisher.js";
import { createSourceReports } from "./source/source-reports.js";
import { createSourceRunner } from "./source/source-runner.js";

/** Reads the pulled sources that streams name, and appends what they give to buffer. */
export const ingestion: BuildService<IngestionConfig> = async (config, runtime) => {
  const { log } = runtime;
  const broker = await connectBroker({ ...config.nats, user: "ingestion", log, onClosed: runtime.fail });
  const registry = await createStreamRegistry(broker);
  const buffer = createBufferClient(config.bufferAddress, runtime.clock);
  const tracker = createStoredTracker(broker, runtime);
  const bodies = await openBodies(config, runtime);
  const batches = createBatchPublisher(createBufferPublisher(buffer), tracker, bodies, runtime);
  const runner = createSourceRunner({
    registry,
    runtime,
    // A body that travels to buffer over gRPC is one request.
    files:
      config.segments.rawDir === undefined
        ? { ...config.files, frameBytesMax: limits.batchBytesMax }
        : config.files,
    lastPosition: buffer.lastPosition,
    append: appendFrame({ batches, now: runtime.clock.now }),
    reject: rejectLine({ buffer, now: runtime.clock.now }),
  });
  const reports = await createSourceReports(broker, createPublisher(broker), runner, runtime);
  return [broker, buffer, tracker, batches, registry, runner, reports];
};

/** On buffer's node bulk bodies go to raw segments of our own, and only where they lie is told to buffer. */
async function openBodies({ segments, node }: IngestionConfig, runtime: Runtime): Promise<BodyStore> {
  const { rawDir, segmentBytes, liveBytesMax } = segments;
  if (rawDir === undefined) return inlineBodyStore();
  return openBodyStore({
    sideDir: rawDir,
    side: "raw",
    owner: `ingestion-${runtime.instance}`,
    node,
    segmentBytes,
    liveBytesMax,
    roomWaitMs: 5_000,
    onBroken: runtime.fail,
  });
}

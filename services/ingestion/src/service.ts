import { limits } from "@millrace/envelope";
import {
  connectBroker,
  createBatchPublisher,
  createExemptions,
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
  const publisher = createBufferPublisher(buffer);
  const raw = createBatchPublisher(publisher, tracker, await openBodies("raw", config, runtime), runtime);
  const clean = createBatchPublisher(publisher, tracker, await openBodies("clean", config, runtime), runtime);
  const exemptions = await createExemptions(broker, runtime.clock);
  const runner = createSourceRunner({
    registry,
    runtime,
    files: filesOf(config),
    lastPosition: buffer.lastPosition,
    append: appendFrame({ raw, clean, exemptions, now: runtime.clock.now }),
    reject: rejectLine({ buffer, now: runtime.clock.now }),
  });
  const reports = await createSourceReports(broker, createPublisher(broker), runner, runtime);
  return [broker, buffer, tracker, raw, clean, registry, runner, reports];
};

/** A body that travels to buffer over gRPC is one request. */
function filesOf({ files, segments }: IngestionConfig): IngestionConfig["files"] {
  const isWritten = segments.rawDir !== undefined && segments.cleanDir !== undefined;
  return isWritten ? files : { ...files, frameBytesMax: limits.batchBytesMax };
}

/** On buffer's node bulk bodies go to segments of our own, and only where they lie is told to buffer. */
async function openBodies(
  side: "raw" | "clean",
  { segments, node }: IngestionConfig,
  runtime: Runtime,
): Promise<BodyStore> {
  const { rawDir, cleanDir, segmentBytes, liveBytesMax } = segments;
  const sideDir = side === "raw" ? rawDir : cleanDir;
  if (sideDir === undefined) return inlineBodyStore();
  return openBodyStore({
    sideDir,
    side,
    owner: `ingestion-${runtime.instance}`,
    node,
    segmentBytes,
    liveBytesMax,
    roomWaitMs: 5_000,
    onBroken: runtime.fail,
  });
}

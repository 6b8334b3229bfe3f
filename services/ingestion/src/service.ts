import { connectBroker, createPublisher, createStreamRegistry } from "@millrace/messaging";
import type { BuildService } from "@millrace/runtime";
import type { IngestionConfig } from "./config.js";
import { appendFrame } from "./handlers/append-frame.js";
import { rejectLine } from "./handlers/reject-line.js";
import { createBufferClient } from "./source/buffer-client.js";
import { createSourceReports } from "./source/source-reports.js";
import { createSourceRunner } from "./source/source-runner.js";

/** Reads the pulled sources that streams name, and appends what they give to buffer. */
export const ingestion: BuildService<IngestionConfig> = async (config, runtime) => {
  const { log } = runtime;
  const broker = await connectBroker({ ...config.nats, user: "ingestion", log, onClosed: runtime.fail });
  const registry = await createStreamRegistry(broker);
  const buffer = createBufferClient(config.bufferAddress, runtime.clock);
  const runner = createSourceRunner({
    registry,
    runtime,
    files: config.files,
    lastPosition: buffer.lastPosition,
    append: appendFrame({ buffer, now: runtime.clock.now }),
    reject: rejectLine({ buffer, now: runtime.clock.now }),
  });
  const reports = await createSourceReports(broker, createPublisher(broker), runner, runtime);
  return [broker, buffer, registry, runner, reports];
};

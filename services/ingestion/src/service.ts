import {
  connectAs,
  createExemptions,
  createLeaseStore,
  createPublisher,
  createStreamRegistry,
} from "@millrace/messaging";
import { type BuildService, createEgress, createSecrets, type Runtime } from "@millrace/runtime";
import { createLeasedWriter, inlineWriter } from "@millrace/segments";
import type { IngestionConfig } from "./config.js";
import { appendBatch } from "./handlers/append-batch.js";
import { rejectRows } from "./handlers/reject-rows.js";
import { createSourceLeases } from "./lease/source-leases.js";
import { type Appender, createAppender } from "./source/appender.js";
import { type BufferClient, createBufferClient } from "./source/buffer-client.js";
import { createOutPositions } from "./source/out-positions.js";
import { tellSourceGap } from "./source/source-gaps.js";
import { openContext } from "./source/source-context.js";
import { sourceKinds } from "./source/source-kinds.js";
import { createSourceReports, earlierCompleteTo } from "./source/source-reports.js";
import { createSourceRunner } from "./source/source-runner.js";

/** Reads the pulled sources that streams name, and appends what they give to buffer. */
export const ingestion: BuildService<IngestionConfig> = async (config, runtime) => {
  const { clock } = runtime;
  const broker = await connectAs("ingestion", config, runtime);
  const registry = await createStreamRegistry(broker);
  const buffer = createBufferClient({ address: config.bufferAddress, tls: config.tls }, runtime);
  const raw = appenderOf("raw", { config, buffer, runtime });
  const clean = appenderOf("clean", { config, buffer, runtime });
  const exemptions = await createExemptions(broker, clock);
  const leases = createSourceLeases({ store: await createLeaseStore(broker), runtime });
  const endEarlierLeases = once(() => buffer.endLeases(writerOf(runtime)));
  const publisher = createPublisher(broker);
  const outPositions = createOutPositions(broker, runtime);
  const runner = createSourceRunner({
    registry,
    runtime,
    kinds: sourceKinds({
      config,
      runtime,
      egress: createEgress({ allow: config.egress.allowPrivate, caFile: config.egress.caFile }),
      secrets: createSecrets({ dir: config.secretsDir }),
      tellGap: tellSourceGap(publisher),
      completeTo: await earlierCompleteTo(broker),
      outPositions,
    }),
    leases,
    openContext: openContext({
      lastPosition: async (of) => {
        await endEarlierLeases();
        return buffer.lastPosition(of);
      },
      append: appendBatch({ raw, clean, exemptions }),
      reject: rejectRows({ buffer, now: clock.now }),
      endSegmentsOf: (instance) => buffer.endLeases(writerOf({ instance })),
    }),
  });
  const reports = await createSourceReports({ broker, publisher, runner, runtime });
  return [broker, buffer, raw, clean, registry, outPositions, leases, runner, reports];
};

const writerOf = ({ instance }: Pick<Runtime, "instance">): string => `ingestion-${instance}`;

/** Does the work until it succeeded once. */
function once(work: () => Promise<void>): () => Promise<void> {
  let done: Promise<void> | undefined;
  return () => {
    done ??= work().catch((caught: unknown) => {
      done = undefined;
      throw caught;
    });
    return done;
  };
}

/** On buffer's node bulk bodies go to segments that buffer leases, and only where they lie is told to it. */
function appenderOf(
  side: "raw" | "clean",
  { config, buffer, runtime }: { config: IngestionConfig; buffer: BufferClient; runtime: Runtime },
): Appender {
  const { rawDir, cleanDir } = config.segments;
  const sideDir = side === "raw" ? rawDir : cleanDir;
  const { clock } = runtime;
  const bodies =
    sideDir === undefined
      ? inlineWriter()
      : createLeasedWriter({
          client: buffer.leasesOf(writerOf(runtime), side),
          sideDir,
          node: config.node,
          monotonic: clock.monotonic,
          onBroken: runtime.fail,
        });
  return createAppender(buffer, bodies, { clock, side });
}

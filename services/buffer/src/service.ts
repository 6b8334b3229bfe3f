import { join } from "node:path";
import { limits } from "@millrace/envelope";
import {
  askDurability,
  connectAs,
  createDeadLetterWriter,
  createExemptions,
  createLeaseEpochs,
  createLedger,
  createPublisher,
  createStoredTracker,
  createStreamRegistry,
  drainBodies,
} from "@millrace/messaging";
import { type AppendRequest, BufferServiceService } from "@millrace/proto/buffer";
import { type BuildService, createGrpcServer, internalSecurity, type Logger, unary } from "@millrace/runtime";
import { createBodyReader, keepReader } from "@millrace/segments";
import { openAcceptJournal } from "./accept/accept-journal.js";
import { createAcceptor } from "./accept/acceptor.js";
import { createFences } from "./accept/fences.js";
import { createLeftBatches, isOvertaken } from "./accept/left-batches.js";
import { createPaths } from "./accept/paths.js";
import type { BufferConfig } from "./config.js";
import { append } from "./handlers/append.js";
import { createAppendStreams } from "./handlers/append-stream.js";
import { getUsage } from "./handlers/get-usage.js";
import { lastPosition } from "./handlers/last-position.js";
import { endLease, type LeaseParts, leaseSegment, renewLease } from "./handlers/lease-segment.js";
import { reject } from "./handlers/reject.js";
import { openQuota } from "./open-quota.js";
import { rangeServers } from "./range-server.js";
import { keepLeases, leasesOf, openPublishers, openSides } from "./open-sides.js";

/**
 * Takes batches from gateway and ingestion, makes them durable, and puts them on RAW in their lane; those of
 * exempt streams past the filter.
 */
export const buffer: BuildService<BufferConfig> = async (config, runtime) => {
  const { log, clock } = runtime;
  const { sleep } = clock;
  const broker = await connectAs("buffer", config, runtime);
  // Once it answers: asked before it is up, it would seem not to sync.
  const durability = await askDurability(config.nats.monitorUrl, config.nats.requireDurable);
  if (durability === "unverified") log.warn("the broker can't be verified to sync before it acknowledges");
  const publisher = createPublisher(broker);
  const tracker = createStoredTracker(broker, runtime);
  const ledger = await createLedger(broker, "buffer", runtime);
  const registry = await createStreamRegistry(broker);
  const owner = `buffer-${config.instance}`;
  const { rawDir, cleanDir, segmentBytes, leaseMs } = config.segments;
  const dir = join(rawDir, owner);
  const bodies = await openSides(config, { runtime, owner, left: () => left });
  const batches = openPublishers(bodies, { publisher, tracker, runtime });
  const deadLetters = createDeadLetterWriter({ publisher, stage: "buffer", side: "raw", now: clock.now });
  const journal = await openAcceptJournal({ dir });
  if (journal.damaged > 0) log.warn("accept journal is damaged", { linesLeftOut: journal.damaged });
  const parts = { broker, publisher, registry, runtime };
  const untilComparable = async (): Promise<void> => {
    await Promise.all([batches.untilRecovered(), keeping.untilTaken()]);
  };
  const { quota, watch, refusals } = await openQuota({ ...parts, dir, untilComparable });
  const reader = createBodyReader({ dirs: { clean: cleanDir } });
  const paths = createPaths({ batches, bodies, reader, version: runtime.version, now: clock.now });
  const acceptor = createAcceptor({
    quota,
    registry,
    exemptions: await createExemptions(broker, clock),
    paths,
    ledger,
    journal,
    now: clock.now,
    node: config.node,
    owner,
    recovered: [...bodies.raw.recovered, ...bodies.clean.recovered],
    left: [...bodies.raw.left, ...bodies.clean.left],
    untilRecovered: batches.untilRecovered,
    sleep,
  });
  const epochs = await createLeaseEpochs(broker);
  const fences = createFences({ epochOf: epochs.epochOf, sleep });
  const left = createLeftBatches({ accept: acceptor.accept, isOvertaken: isOvertaken(ledger), sleep, log });
  const lease = { sides: leasesOf(bodies), owner, segmentBytes, leaseMs, refusals };
  registry.onStream(({ tenant, name, stream }) => {
    if (stream === undefined) ledger.forget(tenant, name);
    quota.onStream({ tenant, stream: name }, stream);
  });
  const call = callsOf(log);
  const appending = append({ acceptor, durability, refusals, fences, discard: paths.discardBatch });
  const appendStreams = createAppendStreams({ append: appending, log });
  const server = createGrpcServer({
    listen: config.grpc,
    healthy: () => broker.isConnected(),
    security: internalSecurity({ tls: config.tls, allow: ["gateway", "ingestion"], log }),
    receiveBytesMax: limits.busBytesMax,
    services: [
      {
        name: "millrace.buffer.v1.BufferService",
        definition: BufferServiceService,
        implementation: {
          append: call("Append", (request: AppendRequest) => appending(request)),
          appendStream: appendStreams.serve,
          lastPosition: call("LastPosition", lastPosition({ ledger, left, fences })),
          reject: call("Reject", reject({ deadLetters, ledger, fences })),
          ...leaseCalls(call, lease),
          getUsage: call("GetUsage", getUsage({ quota })),
        },
      },
    ],
  });
  const keeping = keepLeases(bodies, left, runtime);
  // Stopped in reverse: nothing new comes, then bodies are served until privacy is through with them.
  const served = rangeServers(config, runtime, broker.isConnected);
  if (served.length > 0) served.push(drainBodies([batches.raw, batches.clean], runtime));
  const base = [broker, keepReader(reader, runtime), registry, epochs, ledger, tracker, acceptor];
  return [...base, batches.raw, batches.clean, ...served, keeping, watch, quota, server, appendStreams];
};

const leaseCalls = (call: ReturnType<typeof callsOf>, lease: LeaseParts) => ({
  leaseSegment: call("LeaseSegment", leaseSegment(lease)),
  renewLease: call("RenewLease", renewLease(lease)),
  endLease: call("EndLease", endLease(lease)),
});

const callsOf =
  (log: Logger) =>
  <Q, R>(name: string, handle: (request: Q) => Promise<R>) =>
    unary(`millrace.buffer.v1.BufferService/${name}`, log, handle);

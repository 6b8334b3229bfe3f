import { CodedError, present } from "@millrace/errors";
import { limits } from "@millrace/envelope";
import {
  anonymizeEndpoint,
  ask,
  askDurability,
  type Broker,
  cleanEndpoint,
  connectAs,
  countStored,
  createPublisher,
  createStreamRegistry,
  createStreamStore,
  defaultTenant,
  embedEndpoint,
  eraseEndpoint,
  findEndpoint,
  firstStoredFrom,
  purgeKept,
  purgeSource,
  readLast,
  readLedger,
  readPage,
  readingEndpoint,
  readReports,
  revisionForNew,
  showBatchEndpoint,
  stageFilters,
  storedNumbers,
  waitingResults,
  streamBounds,
  subjects,
  tailStream,
  tapBatches,
  type TapStage,
} from "@millrace/messaging";
import { descriptorImage } from "@millrace/proto";
import { Event } from "@millrace/proto/event";
import type { ShowBatchRequest } from "@millrace/proto/work";
import {
  backoffMs,
  type BuildService,
  createGrpcServer,
  publicSecurity,
  type Runtime,
} from "@millrace/runtime";
import { context } from "@opentelemetry/api";
import { createCallers } from "./auth/callers.js";
import type { GatewayConfig } from "./config.js";
import type { AnalyzeParts } from "./handlers/content/analyze-sentiment.js";
import type { AnonymizeParts } from "./handlers/privacy/anonymize-content.js";
import type { TextParts } from "./handlers/privacy/anonymize-text.js";
import type { DeleteParts } from "./handlers/content/delete-content.js";
import type { ArtifactParts } from "./handlers/content/get-artifact.js";
import type { PageLimits } from "./handlers/content/list-contents.js";
import type { StatusParts } from "./handlers/stream/get-status.js";
import type { SearchParts } from "./handlers/content/search-text.js";
import { triggersOnBroker } from "./trigger-services.js";
import { createPublishing } from "./publish/publishing.js";
import { createGroups } from "./group-parts.js";
import { type Api, apiServices } from "./api-services.js";
import { openStoredParts } from "./replay/stored-parts.js";
import { createBufferClient } from "./rpc/buffer-client.js";
import { createOpenCalls } from "./rpc/open-calls.js";
import { letterRequests } from "./letter-requests.js";
import { createResultFeeds } from "./subscribe/result-feed.js";

const tenant = defaultTenant;

/** A status does not wait long for what it can do without. */
const readingTimeoutMs = 1_000;
/** A body may come from another node. */
const showingTimeoutMs = 10_000;

/** The public API: streams and sources, publish, subscribe, events, artifacts, search. */
export const gateway: BuildService<GatewayConfig> = async (config, runtime) => {
  const { log, clock, random } = runtime;
  const { now, monotonic, sleep } = clock;
  const retries = { firstMs: 50, maxMs: 2_000 };
  const times = { now, monotonic, sleep, backoffMs: (tried: number) => backoffMs(tried, random, retries) };
  const callers = createCallers(config, runtime);
  const broker = await connectAs("gateway", config, runtime);
  // Once it answers: asked before it is up, it would seem not to sync.
  const durability = await askDurability(config.nats.monitorUrl, config.nats.requireDurable);
  if (durability === "unverified") log.warn("the broker can't be verified to sync before it acknowledges");
  const registry = await createStreamRegistry(broker);
  const store = await createStreamStore(broker);
  const buffer = createBufferClient({ address: config.buffer.address, tls: config.tls }, runtime);
  const { openCalls, subscribers } = countedCalls(config, runtime);
  const publishing = createPublishing({
    limits: config.limits,
    epoch: `gateway-${config.instance}-${epochName(runtime)}`,
    append: buffer.append,
    ...times,
  });
  const root = config.replay.storageDir;
  const storage = root === undefined ? undefined : await openStoredParts({ root, instance: config.instance });
  const pending = runtime.metrics.gauge("millrace_publish_pending_bytes", "Published and not yet durable.");
  registry.onStream(({ name, stream }) => {
    if (stream !== undefined) return;
    publishing.publisher.forget(tenant, name);
    const remedy = "Create it with CreateStream.";
    const reason = new CodedError("not_found", `stream ${name} was deleted`, { field: "stream", remedy });
    for (const calls of [openCalls, subscribers]) calls.endStream(name, reason);
  });
  const reads = onBroker(broker, clock.now);
  const feeds = createResultFeeds({
    bounds: reads.resultBounds,
    tail: reads.tailResults,
    now: clock.monotonic,
    sleep: clock.sleep,
    bytesMax: config.limits.resultBytesMax,
  });
  const groups = await createGroups(broker, runtime, config.instance);
  const onTriggers = await triggersOnBroker(broker);
  const api: Api = {
    tenant,
    log,
    clock,
    registry,
    store,
    openCalls,
    subscribers,
    feeds,
    countMissed: missedCounter(runtime),
    ...publishing,
    ...reads,
    ...groups.parts,
    ...onTriggers,
    find: registry.find,
    revisionForNew: (of, name) => revisionForNew(broker, of, name),
    mayExempt: callers.mayExempt,
    mayAnonymize: callers.mayAnonymize,
    lastPosition: buffer.lastPosition,
    appendOnce: buffer.appendOnce,
    storage,
    bufferUsage: buffer.usage,
    durability,
    activeTrace: () => context.active(),
    ...times,
  };
  const { tls } = config.grpc;
  const server = createGrpcServer({
    listen: config.grpc,
    security: publicSecurity({ tls, field: "grpc.tls", check: callers.check, log }),
    services: apiServices(api),
    descriptorImage,
    healthy: () => {
      pending.set(publishing.budget.bytes());
      return broker.isConnected() && buffer.isServing();
    },
    // A frame of PublishStream is at most 4 MiB; its tags and the odd attribute go on top.
    receiveBytesMax: 4 * 1024 * 1024 + 64 * 1024,
  });
  const inner = [broker, registry, onTriggers.triggers, ...groups.components, buffer, publishing];
  return [...inner, callers.component, server, openCalls, subscribers];
};

/** Subscribers share what is read, so many more of them may be open than of other calls. */
function countedCalls({ limits }: GatewayConfig, { metrics }: Runtime) {
  const open = metrics.gauge("millrace_open_streams", "Streaming calls under way.");
  const counts = { openStreamsMax: 0, subscribersMax: 0 };
  open.set(0);
  const bounded = (limit: keyof typeof counts) =>
    createOpenCalls({
      openMax: limits[limit],
      setting: `limits.${limit}`,
      onCount: (count) => {
        counts[limit] = count;
        open.set(counts.openStreamsMax + counts.subscribersMax);
      },
    });
  return { openCalls: bounded("openStreamsMax"), subscribers: bounded("subscribersMax") };
}

function missedCounter({ metrics }: Runtime): Api["countMissed"] {
  const help = "Result batches of which subscribers missed messages.";
  const missed = metrics.counter("millrace_subscriber_missed_batches_total", help, ["reason"]);
  return (reason, batches) => missed.inc({ reason }, batches);
}

/** What the handlers need of the broker, each by the one call that does it. */
function onBroker(broker: Broker, now: () => number) {
  const publisher = createPublisher(broker);
  const tail = (jetStream: string, filter: string, { from, signal }: { from: number; signal: AbortSignal }) =>
    // What is fetched ahead of a slow reader: one result with the largest image, or many small ones.
    tailStream(broker, { jetStream, filter, from, signal, aheadBytesMax: limits.busBytesMax + 1024 * 1024 });
  return {
    ...requests(broker),
    ...letterRequests(broker),
    tapBatches: (
      of: { tenant: string; stream: string; stage: TapStage },
      onBatch: (data: Uint8Array) => void,
    ) => tapBatches(broker, of, onBatch),
    showBatch: (request: ShowBatchRequest) => ask(broker, showBatchEndpoint, request, showingTimeoutMs),
    purge: (of: { tenant: string; stream: string }) => purgeKept(broker, of),
    readLedger: (of: { tenant: string; stream: string }) => readLedger(broker, of),
    readReports: (of: { tenant: string; stream: string }) => readReports(broker, of, now()),
    purgeSource: (of: { tenant: string; stream: string; id: string }) => purgeSource(broker, of),
    readContent: (of: { tenant: string; stream: string; artifact: string; content: string }) =>
      readLast(broker, "CONTENT", subjects.content(of.tenant, of.stream, of.artifact, of.content)),
    readContents: (of: { tenant: string; stream: string; artifact: string }, page: PageLimits) => {
      const filter = subjects.content(of.tenant, of.stream, of.artifact, "*");
      return readPage(broker, { jetStream: "CONTENT", filter, ...page });
    },
    readArtifacts: (of: { tenant: string; stream: string }, page: PageLimits) => {
      const filter = subjects.artifact(of.tenant, of.stream, "*");
      return readPage(broker, { jetStream: "CONTENT", filter, ...page });
    },
    countBatches: (of: { tenant: string; stream: string }) =>
      Promise.all(
        stageFilters(of.tenant, of.stream).map(async ({ stage, jetStream, filter }) => ({
          stage,
          batches: await countStored(broker, jetStream, filter),
        })),
      ),
    tailResults: (of: { tenant: string; stream: string }, from: number, signal: AbortSignal) =>
      tail("RESULT", subjects.result(of.tenant, of.stream), { from, signal }),
    countResults: (of: { tenant: string; stream: string }) =>
      countStored(broker, "RESULT", subjects.result(of.tenant, of.stream)),
    firstResultFrom: (of: { tenant: string; stream: string }, seq: number) =>
      firstStoredFrom(broker, { jetStream: "RESULT", filter: subjects.result(of.tenant, of.stream), seq }),
    waitingResults: (of: { tenant: string; stream: string }, from: number) =>
      waitingResults(broker, of, from),
    resultBounds: () => streamBounds(broker, "RESULT"),
    storedResults: () => storedNumbers(broker, "RESULT"),
    tailEvents: (of: { tenant: string; stream: string; type: string }, from: number, signal: AbortSignal) =>
      tail("EVENTS", subjects.event(of.tenant, of.stream, of.type), { from, signal }),
    tellEvent: async (of: string, event: Event): Promise<void> => {
      const data = Event.encode(event).finish();
      await publisher.publish({ subject: subjects.event(of, event.stream, event.type), data, id: event.id });
    },
    lastEvent: async () => (await streamBounds(broker, "EVENTS")).last,
  };
}

/** Requests to other services; what they hold is in memory only. */
function requests(
  broker: Broker,
): Pick<SearchParts, "cleanText" | "embedQuery" | "findNearest"> &
  Pick<ArtifactParts, "cleanNames"> &
  Pick<StatusParts, "askReading"> &
  Pick<DeleteParts, "eraseContents"> &
  Pick<AnonymizeParts, "anonymizeContents"> &
  TextParts &
  Pick<AnalyzeParts, "analyse"> {
  const atLeast = (timeoutMs: number): number => Math.max(1, Math.floor(timeoutMs));
  return {
    cleanNames: async (of, names, timeoutMs) =>
      (await ask(broker, cleanEndpoint, { ...of, texts: [], names, bodies: [] }, atLeast(timeoutMs))).names,
    cleanText: async (text, timeoutMs) => {
      // A query is no stream's: every detector looks at it.
      const request = { tenant, stream: "", texts: [text], names: [], bodies: [] };
      const { texts } = await ask(broker, cleanEndpoint, request, atLeast(timeoutMs));
      return present(texts[0], "privacy's answer to a text");
    },
    askReading: (stage, of) =>
      ask(broker, readingEndpoint(stage), of, readingTimeoutMs).catch(() => undefined),
    embedQuery: (text, timeoutMs) =>
      ask(
        broker,
        embedEndpoint,
        { texts: [text], query: true, sentiment: false, textField: "" },
        atLeast(timeoutMs),
      ),
    cleanBody: async (body, timeoutMs) => {
      const request = { tenant, stream: "", texts: [], names: [], bodies: [body] };
      const { bodies } = await ask(broker, cleanEndpoint, request, atLeast(timeoutMs));
      return present(bodies[0], "privacy's answer to a text");
    },
    anonymizeContents: (request, timeoutMs) => ask(broker, anonymizeEndpoint, request, atLeast(timeoutMs)),
    analyse: (request, timeoutMs) => ask(broker, embedEndpoint, request, atLeast(timeoutMs)),
    eraseContents: (request, timeoutMs) => ask(broker, eraseEndpoint, request, atLeast(timeoutMs)),
    findNearest: (request, timeoutMs) => ask(broker, findEndpoint, request, atLeast(timeoutMs)),
  };
}

/** Unlike that of any process before: sources of an epoch count from 0. */
function epochName({ clock, random }: Runtime): string {
  return `${Math.floor(clock.now())}-${Math.floor(random() * 2 ** 32).toString(36)}`;
}

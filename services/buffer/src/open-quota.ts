import {
  type Broker,
  createGroupStore,
  inspectStored,
  parkedStream,
  type Publisher,
  stageFilters,
  type StreamRegistry,
  watchLedger,
} from "@millrace/messaging";
import type { Component, Runtime } from "@millrace/runtime";
import { waitedFor } from "./quota/backpressure.js";
import { sinkNames, stageNames } from "./quota/live-bytes.js";
import { createQuota, type Quota } from "./quota/quota.js";
import { createRefusals, type Refusals } from "./quota/refusals.js";
import type { Place } from "./quota/stale-ranges.js";

interface QuotaParts {
  broker: Broker;
  publisher: Publisher;
  registry: StreamRegistry;
  runtime: Runtime;
  dir: string;
  untilComparable(): Promise<void>;
}

export interface OpenQuota {
  quota: Quota;
  watch: Component;
  /** Of what streams share; told with who waits for a quota. */
  refusals: Refusals;
}

/**
 * Of what the least of the shared streams may hold, PARKED included, so that a quota refuses before one is
 * full.
 */
const sharedPart = 0.8;

/** The quota of each stream, and what tells it which positions are settled. */
export async function openQuota(parts: QuotaParts): Promise<OpenQuota> {
  const { broker, publisher, registry, runtime } = parts;
  const { metrics, clock, log } = runtime;
  const live = metrics.gauge("millrace_stream_live_bytes", "Accepted and not settled everywhere.", [
    "stream",
  ]);
  const most = metrics.gauge("millrace_stream_quota_bytes", "Live bytes a stream may hold.", ["stream"]);
  const waiting = metrics.gauge("millrace_backpressure_waiting", "What waits for what.", ["waiter", "for"]);
  const shared = await Promise.all(
    [...flow, parkedStream].map((jetStream) => inspectStored(broker, jetStream, "none")),
  );
  const bytesMax = shared.flatMap((of) => (of.bytesMax > 0 ? [of.bytesMax * sharedPart] : []));
  const refusals = createRefusals(clock.monotonic);
  const groups = await createGroupStore(broker);
  const quota = createQuota({
    dir: parts.dir,
    untilComparable: parts.untilComparable,
    find: registry.find,
    quotaBytesMax: Math.floor(Math.min(Number.MAX_SAFE_INTEGER, ...bytesMax)),
    clock,
    log,
    now: clock.now,
    publish: publisher.publish,
    placesOf,
    inspect: ({ jetStream, filter }) => inspectStored(broker, jetStream, filter),
    groupsOf: async ({ tenant, stream }) => {
      const found = await groups.list(tenant, stream).catch(() => []);
      return found.filter(({ maySkip }) => !maySkip).map(({ name }) => name);
    },
    countStored: async (jetStream, filter) => (await inspectStored(broker, jetStream, filter)).count,
    onUsage: ({ stream }, usage) => {
      if (usage === undefined) for (const gauge of [live, most]) gauge.remove({ stream });
      else {
        live.set({ stream }, usage.liveBytes);
        most.set({ stream }, usage.quotaBytes);
      }
    },
    onWaiting: (counts) => {
      for (const waiter of ["ingestion", "gateway"])
        waiting.set({ waiter, for: waitedFor }, counts.get(waiter) ?? 0);
      for (const { streams, ...who } of refusals.waiting()) waiting.set(who, streams);
    },
  });
  const watch = watchLedger(broker, runtime, {
    stages: [...stageNames, ...sinkNames],
    isWanted: quota.isTracked,
    onEntry: (stage, of, { settled }) => quota.settled(stage, of, settled),
  });
  return { quota, watch, refusals };
}

/** Streams that a batch passes from left to right; it may be set aside from each of them, and come back. */
const flow: ReadonlySet<string> = new Set(["RAW", "CLEAN", "ENRICHED"]);

function placesOf({ tenant, stream }: { tenant: string; stream: string }): Place[] {
  const places = stageFilters(tenant, stream);
  const aside = places.filter(({ jetStream }) => !flow.has(jetStream));
  return places.filter(({ jetStream }) => flow.has(jetStream)).flatMap((place) => [place, ...aside]);
}

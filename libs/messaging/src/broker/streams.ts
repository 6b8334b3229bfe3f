import {
  AckPolicy,
  type ConsumerConfig,
  DiscardPolicy,
  RetentionPolicy,
  StorageType,
  type StreamConfig,
} from "@nats-io/jetstream";
import { limits } from "@millrace/envelope";
import { anyPartition, orderedPartitions } from "./subjects.js";

const seconds = (count: number): number => count * 1e9;
const hours = (count: number): number => seconds(count * 3600);

/**
 * Twice the redelivery horizon plus the longest tolerated outage: 2 × (120 + 30) s. Ids are counted into the
 * broker's memory, so not longer.
 */
export const duplicateWindowSeconds = 300;

/** Redelivery after a holder died; a living holder says `working` every third of it. */
export const ackWaitMs = 10_000;

export interface StreamPlan {
  name: string;
  subjects: string[];
  retention: RetentionPolicy;
  discard: DiscardPolicy;
  /**
   * Share of the broker's store; the shares add up to less than one, so our limit trips before the disk's.
   */
  share: number;
  maxAge?: number;
  maxPerSubject?: number;
  perMessageTtl?: boolean;
  direct?: boolean;
  /** Its messages carry whole contents, images among them; elsewhere long bodies lie in segments. */
  carriesContents?: boolean;
}

/** What stages set aside while one stream alone is blocked. */
export const parkedStream = "PARKED";

export const streamPlans: readonly StreamPlan[] = [
  plan("RAW", ["raw.>"], { retention: RetentionPolicy.Workqueue, discard: DiscardPolicy.New, share: 0.17 }),
  plan("CLEAN", ["clean.>"], {
    retention: RetentionPolicy.Workqueue,
    discard: DiscardPolicy.New,
    share: 0.1,
  }),
  plan("ENRICHED", ["enriched.>"], {
    retention: RetentionPolicy.Interest,
    discard: DiscardPolicy.New,
    share: 0.17,
  }),
  // Bodies too: as much as the least of those above, so that it has room for one stream at its whole quota.
  {
    ...plan(parkedStream, ["parked.>"], {
      retention: RetentionPolicy.Workqueue,
      discard: DiscardPolicy.New,
      share: 0.1,
    }),
    carriesContents: true,
  },
  {
    ...plan("RESULT", ["result.>"], {
      // What goes is for output to say: a group may not have settled the oldest.
      retention: RetentionPolicy.Limits,
      discard: DiscardPolicy.New,
      share: 0.12,
    }),
    perMessageTtl: true,
    carriesContents: true,
  },
  {
    ...plan("EVENTS", ["event.>"], {
      retention: RetentionPolicy.Limits,
      discard: DiscardPolicy.Old,
      share: 0.03,
    }),
    maxAge: hours(7 * 24),
  },
  {
    ...plan("CONTENT", ["content.>", "rewrite.>", "artifact.>"], {
      retention: RetentionPolicy.Limits,
      discard: DiscardPolicy.New,
      share: 0.1,
    }),
    maxPerSubject: 1,
    direct: true,
    carriesContents: true,
  },
  {
    ...plan("EMBEDDINGS", ["embedding.>"], {
      retention: RetentionPolicy.Limits,
      discard: DiscardPolicy.New,
      share: 0.08,
    }),
    maxPerSubject: 1,
    direct: true,
    // Tombstones go when every replica has heard of them.
    perMessageTtl: true,
  },
  {
    ...plan("DLQ_RAW", ["dlq.raw.>"], {
      retention: RetentionPolicy.Limits,
      discard: DiscardPolicy.New,
      share: 0.02,
    }),
    maxAge: hours(14 * 24),
    direct: true,
    carriesContents: true,
  },
  {
    ...plan("DLQ", ["dlq.clean.>", "dlq.trigger.>"], {
      retention: RetentionPolicy.Limits,
      discard: DiscardPolicy.New,
      share: 0.02,
    }),
    maxAge: hours(14 * 24),
    direct: true,
    carriesContents: true,
  },
];

/** A stream of the name's subjects; the rest of what it is stands in its own fields. */
function plan(
  name: string,
  subjects: string[],
  rest: Pick<StreamPlan, "retention" | "discard" | "share">,
): StreamPlan {
  return { name, subjects, ...rest };
}

export function streamConfig(of: StreamPlan, storeBytes: number): Partial<StreamConfig> & { name: string } {
  return {
    name: of.name,
    subjects: of.subjects,
    retention: of.retention,
    discard: of.discard,
    storage: StorageType.File,
    max_bytes: Math.floor(storeBytes * of.share),
    max_msg_size: of.carriesContents === true ? limits.busBytesMax : 1024 * 1024,
    max_age: of.maxAge ?? 0,
    duplicate_window: seconds(duplicateWindowSeconds),
    max_msgs_per_subject: of.maxPerSubject ?? -1,
    allow_direct: of.direct ?? false,
    ...(of.perMessageTtl === true ? { allow_msg_ttl: true } : {}),
  };
}

export interface ConsumerPlan {
  stream: string;
  name: string;
  /** Who consumes: names ledger entries, attempts and parked batches. */
  stage: string;
  filter: string;
  /** Deliveries that are not settled, over all replicas: in hand, and given back for a while. */
  ackPendingMax: number;
  /** One reader at a time, one delivery at a time. */
  ordered?: boolean;
}

/** One for each partition of ordered streams; both lanes, since order goes before urgency. */
export const orderedConsumers = (stage: string): string[] =>
  orderedPartitions.map((partition) => `${stage}-${partition}`);

/**
 * What one stream gives back counts too, and others lie behind it: far above what replicas have in hand,
 * which is for their `inFlightMax` to bound.
 */
const ackPendingMax = 16_384;

export const consumerPlans: readonly ConsumerPlan[] = [
  ...stagePlans("privacy", { stream: "RAW", prefix: "raw" }),
  ...stagePlans("inference", { stream: "CLEAN", prefix: "clean" }),
  ...stagePlans("search", { stream: "ENRICHED", prefix: "enriched.y.*.*.*" }),
  ...stagePlans("results", { stream: "ENRICHED", prefix: "enriched.*.y.*.*" }),
  ...stagePlans("store", { stream: "ENRICHED", prefix: "enriched.*.*.y.*" }),
  ...stagePlans("kafka", { stream: "ENRICHED", prefix: "enriched.*.*.*.y" }),
];

/** A consumer a lane: in one for both, the high lane would queue behind the batch lane. */
function stagePlans(stage: string, { stream, prefix }: { stream: string; prefix: string }): ConsumerPlan[] {
  const lanes = (["high", "batch"] as const).map((lane) => ({
    stream,
    name: `${stage}-${lane}`,
    stage,
    filter: `${prefix}.${lane}.${anyPartition}.>`,
    ackPendingMax,
  }));
  const ordered = orderedPartitions.map((partition) => ({
    stream,
    name: `${stage}-${partition}`,
    stage,
    filter: `${prefix}.*.${partition}.>`,
    ackPendingMax: 1,
    ordered: true,
  }));
  return [...lanes, ...ordered];
}

/** The priority group of an ordered consumer: whoever pulls by it first is its reader until it is silent. */
export const readerGroup = "reader";
/** How long a reader may be silent; a redelivery after its death takes as long anyway. */
const readerSilentMaxMs = ackWaitMs;

/**
 * Names are fixed: autoscalers and dashboards find them. Attempts are ours to count, so the broker never
 * gives up.
 */
export function consumerConfig(of: ConsumerPlan): Partial<ConsumerConfig> {
  return {
    durable_name: of.name,
    filter_subject: of.filter,
    ack_policy: AckPolicy.Explicit,
    ack_wait: ackWaitMs * 1e6,
    max_deliver: -1,
    max_ack_pending: of.ackPendingMax,
    ...(of.ordered === true
      ? {
          priority_groups: [readerGroup],
          priority_policy: "pinned_client",
          priority_timeout: readerSilentMaxMs * 1e6,
        }
      : {}),
  };
}

export const buckets = {
  /** What is settled, per stage and source. */
  ledger: "LEDGER",
  /** What sources report of themselves; one value a source. */
  reports: "REPORTS",
  /** Which replica of ingestion reads a source, and which replicas live. */
  leases: "LEASES",
  /** How often the work on a batch was begun, from its second delivery on. */
  attempts: "ATTEMPTS",
  /** What groups have settled of frames that they settled in part. */
  groups: "GROUPS",
  /** Streams, sources and policies: watched, so changes are live. */
  config: "CONFIG",
} as const;

/** Of the broker's store, with those of the streams: less than one together. */
export const bucketShares: Record<(typeof buckets)[keyof typeof buckets], number> = {
  LEDGER: 0.02,
  REPORTS: 0.01,
  LEASES: 0.005,
  ATTEMPTS: 0.02,
  GROUPS: 0.01,
  CONFIG: 0.02,
};

/** Made after everything else, and read by every service: once it is there, all is. */
export const lastProvisioned = buckets.config;

/** Longest life of a count: a batch that is not settled by then is counted anew. */
export const attemptsAgeMs = 7 * 24 * 3_600_000;

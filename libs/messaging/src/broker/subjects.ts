import { type Header, Lane } from "@millrace/proto/batch";
import type { Outputs } from "@millrace/proto/stream";

/**
 * Every subject literal of Millrace. Tokens go from wide to narrow; user-chosen tokens are names of
 * [a-z0-9-], so they hold no dot, star or blank. Ordered streams use partitions p00…p07 in the place of
 * `any`.
 */
export const anyPartition = "any";

/**
 * Each is a consumer at every stage, with one delivery in flight: so many sources of ordered streams move at
 * a time.
 */
export const orderedPartitionsMax = 8;

export const orderedPartitions: readonly string[] = Array.from(
  { length: orderedPartitionsMax },
  (_, number) => `p${String(number).padStart(2, "0")}`,
);

/** Where batches of an ordered stream's source travel: its key of 32 hex digits is a hash already. */
export function orderedPartition(source: string): string {
  const number = Number.parseInt(source.slice(0, 8), 16) % orderedPartitionsMax;
  return orderedPartitions[number] ?? anyPartition;
}

export type LaneToken = "high" | "batch";

export interface Route {
  lane: Lane;
  partition: string;
  tenant: string;
  stream: string;
}

export interface EnrichedFlags {
  search: boolean;
  results: boolean;
  store: boolean;
  kafka: boolean;
}

export function laneToken(lane: Lane): LaneToken {
  return lane === Lane.LANE_HIGH ? "high" : "batch";
}

/** Which sinks a stream's batches go to. One that looks at nothing in a batch still counts its messages. */
export function enrichedFlags(outputs: Outputs | undefined): EnrichedFlags {
  return {
    search: outputs?.search === true,
    results: outputs?.results !== undefined || outputs?.artifacts === true || outputs?.events === true,
    store: outputs?.storage !== undefined,
    kafka: outputs?.kafka !== undefined,
  };
}

export function routeOf(header: Header): Route {
  const { lane, partition, tenant, stream } = header;
  return { lane, partition, tenant, stream };
}

const flag = (on: boolean): "y" | "n" => (on ? "y" : "n");
const tail = (route: Route): string =>
  `${laneToken(route.lane)}.${route.partition}.${route.tenant}.${route.stream}`;

export const subjects = {
  raw: (route: Route): string => `raw.${tail(route)}`,
  clean: (route: Route): string => `clean.${tail(route)}`,
  enriched: ({ search, results, store, kafka }: EnrichedFlags, route: Route): string =>
    ["enriched", ...[search, results, store, kafka].map(flag), tail(route)].join("."),
  result: (tenant: string, stream: string): string => `result.${tenant}.${stream}`,
  event: (tenant: string, stream: string, type: string): string => `event.${tenant}.${stream}.${type}`,
  content: (tenant: string, stream: string, artifact: string, content: string): string =>
    `content.${tenant}.${stream}.${artifact}.${content}`,
  /** Stored once, with the first content. */
  artifact: (tenant: string, stream: string, artifact: string): string =>
    `artifact.${tenant}.${stream}.${artifact}`,
  /** What takes the place of a content, while the content is erased. */
  rewrite: (tenant: string, stream: string, artifact: string, content: string): string =>
    `rewrite.${tenant}.${stream}.${artifact}.${content}`,
  rewritesOf: (tenant: string, stream: string): string => `rewrite.${tenant}.${stream}.>`,
  contentsOf: (tenant: string, stream: string): string => `content.${tenant}.${stream}.>`,
  /** Shards spread replicas' indexes; one until an index outgrows a process. */
  embedding: (tenant: string, stream: string, content: string): string =>
    `embedding.${tenant}.${stream}.s0.${content}`,
  embeddingsOf: (tenant: string, stream: string): string => `embedding.${tenant}.${stream}.>`,
  parked: (stage: string, tenant: string, stream: string): string => `parked.${stage}.${tenant}.${stream}`,
  deadLetter: (side: "raw" | "clean", tenant: string, stream: string): string =>
    `dlq.${side}.${tenant}.${stream}`,
  /** Of a trigger that gave up; `stream` is a token. */
  triggerLetter: (tenant: string, stream: string, id: string): string =>
    `dlq.trigger.${tenant}.${stream}.${id}`,
  /** Where triggers tell whoever listens on the broker: kept by no stream of ours. */
  notice: (tenant: string, name: string): string => `trigger.${tenant}.${name}`,
  /** Requests that wait for an answer. */
  work: (service: string, verb: string): string => `work.${service}.${verb}`,
} as const;

/** Filters by which a stream's stored batches are counted, stage by stage. */
export function stageFilters(
  tenant: string,
  stream: string,
): { stage: string; jetStream: string; filter: string }[] {
  return [
    { stage: "privacy", jetStream: "RAW", filter: `raw.*.*.${tenant}.${stream}` },
    { stage: "inference", jetStream: "CLEAN", filter: `clean.*.*.${tenant}.${stream}` },
    { stage: "sinks", jetStream: "ENRICHED", filter: `enriched.*.*.*.*.*.*.${tenant}.${stream}` },
    { stage: "parked", jetStream: "PARKED", filter: `parked.*.${tenant}.${stream}` },
  ];
}

import { type BrokerUser, brokerUsers } from "../broker/permissions.js";
import { buckets, streamPlans } from "../broker/streams.js";

/*
 * Every user against every subject and API of the broker. What is expected is written down here a second
 * time, on purpose, from the design: who is not named with a subject must be denied.
 */
const listener: BrokerUser = "listener";
const everyone = brokerUsers.filter((user) => user !== listener);
const adapter: BrokerUser = "metrics-adapter";
const measured = ["RAW", "CLEAN", "ENRICHED"];
const servers: BrokerUser[] = ["privacy", "inference", "semantic-search", "output"];
const deadLetterWriters: BrokerUser[] = ["gateway", "buffer", ...servers];

/** Who may read a stream by an ephemeral consumer of its own. */
const tails: Record<string, BrokerUser[]> = {
  RESULT: ["gateway", "output"],
  EVENTS: ["gateway", "output"],
  EMBEDDINGS: ["semantic-search"],
  KV_CONFIG: everyone,
  KV_LEDGER: everyone,
  KV_REPORTS: ["gateway", "ingestion", "output", adapter],
  KV_LEASES: ["ingestion", "buffer"],
  KV_GROUPS: ["gateway"],
};
const inspects: Record<string, BrokerUser[]> = {
  ...tails,
  RAW: ["gateway", "ingestion", "buffer"],
  CLEAN: ["gateway", "ingestion", "buffer", "privacy"],
  ENRICHED: ["gateway", "ingestion", "buffer", "privacy", "inference"],
  PARKED: ["gateway", "buffer", "output"],
  DLQ: ["gateway"],
  KV_ATTEMPTS: [...servers, "output"],
};
const directs: Record<string, BrokerUser[]> = {
  CONTENT: ["gateway", "output"],
  EMBEDDINGS: ["semantic-search"],
  KV_CONFIG: everyone,
  KV_LEDGER: everyone,
  KV_REPORTS: ["gateway", "ingestion", "output", adapter],
  KV_LEASES: ["ingestion", "buffer"],
  KV_GROUPS: ["gateway"],
  DLQ_RAW: ["privacy"],
  DLQ: ["output"],
};
const erases: Record<string, BrokerUser[]> = {
  CONTENT: ["output"],
  RESULT: ["output"],
  EMBEDDINGS: ["semantic-search"],
  DLQ_RAW: ["privacy"],
  DLQ: ["output"],
};
const purges: Record<string, BrokerUser[]> = {
  RESULT: ["gateway", "output"],
  EVENTS: ["gateway"],
  CONTENT: ["gateway"],
  EMBEDDINGS: ["gateway"],
  KV_LEDGER: ["gateway"],
  KV_REPORTS: ["gateway"],
  KV_LEASES: ["gateway"],
  KV_GROUPS: ["gateway"],
};
const consumers: [string, string, BrokerUser][] = [
  ["RAW", "privacy-high", "privacy"],
  ["RAW", "privacy-batch", "privacy"],
  ["CLEAN", "inference-high", "inference"],
  ["CLEAN", "inference-batch", "inference"],
  ["ENRICHED", "search-high", "semantic-search"],
  ["ENRICHED", "search-batch", "semantic-search"],
  ["ENRICHED", "results-high", "output"],
  ["ENRICHED", "results-batch", "output"],
  ["ENRICHED", "store-high", "output"],
  ["ENRICHED", "store-batch", "output"],
  ["ENRICHED", "kafka-high", "output"],
  ["ENRICHED", "kafka-batch", "output"],
  ...["p00", "p01", "p02", "p03", "p04", "p05", "p06", "p07"].flatMap(
    (partition): [string, string, BrokerUser][] => [
      ["RAW", `privacy-${partition}`, "privacy"],
      ["CLEAN", `inference-${partition}`, "inference"],
      ["ENRICHED", `search-${partition}`, "semantic-search"],
      ["ENRICHED", `results-${partition}`, "output"],
      ["ENRICHED", `store-${partition}`, "output"],
      ["ENRICHED", `kafka-${partition}`, "output"],
    ],
  ),
];

const allStreams = [
  ...streamPlans.map((plan) => plan.name),
  ...Object.values(buckets).map((name) => `KV_${name}`),
];

/** Of each subject and API, who may publish to it; whoever is not named must be refused. */
export const publishing = new Map<string, readonly BrokerUser[]>([
  ["raw.batch.any.default.s", ["buffer"]],
  ["raw.high.p03.default.s", ["buffer"]],
  ["clean.batch.any.default.s", ["buffer", "privacy"]],
  ["enriched.y.y.y.y.batch.any.default.s", ["buffer", "privacy", "inference"]],
  ["parked.privacy.default.s", []],
  ["parked.inference.default.s", []],
  ["parked.results.default.s", ["output"]],
  ["parked.store.default.s", ["output"]],
  ["parked.kafka.default.s", ["output"]],
  ["$JS.API.CONSUMER.CREATE.PARKED.mine.parked.store.default.s", ["output"]],
  ["$JS.API.CONSUMER.CREATE.PARKED.mine.parked.privacy.default.s", []],
  ["$JS.API.CONSUMER.CREATE.PARKED.mine", []],
  ["$KV.ATTEMPTS.privacy.RAW.1-1", ["privacy"]],
  ["$KV.ATTEMPTS.store.ENRICHED.1-1", ["output"]],
  ["$KV.ATTEMPTS.search.ENRICHED.1-1", ["semantic-search"]],
  ["$JS.API.DIRECT.GET.KV_ATTEMPTS.$KV.ATTEMPTS.inference.CLEAN.1-1", ["inference"]],
  ["result.default.s", ["output"]],
  ["content.default.s.a.c", ["output"]],
  ["rewrite.default.s.a.c", ["output"]],
  ["embedding.default.s.s0.c", ["semantic-search"]],
  ["dlq.raw.default.s", ["buffer", "privacy"]],
  ["dlq.clean.default.s", ["gateway", "inference", "semantic-search", "output"]],
  ["dlq.trigger.default.s.t", ["output"]],
  ["trigger.default.alarms", ["output"]],
  ["event.default.s.new_data", ["output"]],
  ["event.default.s.dead_letter", deadLetterWriters],
  ["event.default.s.source_failed", ["ingestion"]],
  ["event.default.s.source_gap", ["ingestion"]],
  ["event.default.s.privacy_exempted", ["gateway"]],
  ["event.default.s.backpressure", ["buffer"]],
  ["event.default.s.privacy_violation", ["privacy"]],
  ["event.default.s.notification", ["gateway", "output"]],
  ["event.default.s.similarity_threshold", ["semantic-search"]],
  ["event.default.s.model_promoted", []],
  ["$KV.CONFIG.stream.default.s", ["gateway"]],
  ["$KV.CONFIG.source.default.s.f", ["gateway"]],
  ["$KV.CONFIG.group.default.s.g", ["gateway"]],
  ["$KV.CONFIG.trigger.default.s.t", ["gateway"]],
  ["$KV.CONFIG.policy.default", []],
  ["$KV.LEDGER.buffer.default.s.f", ["buffer"]],
  ["$KV.LEDGER.privacy.default.s.f", ["privacy"]],
  ["$KV.LEDGER.inference.default.s.f", ["inference"]],
  ["$KV.LEDGER.search.default.s.f", ["semantic-search"]],
  ["$KV.LEDGER.results.default.s.f", ["output"]],
  ["$KV.LEDGER.store.default.s.f", ["output"]],
  ["$KV.LEDGER.kafka.default.s.f", ["output"]],
  ["$KV.REPORTS.default.s.f", ["ingestion"]],
  ["$KV.LEASES.source.default.s.f", ["ingestion"]],
  ["$KV.LEASES.member.local", ["ingestion"]],
  ["$KV.GROUPS.default.s.g.1", ["gateway"]],
  ["work.privacy.clean", ["gateway", "ingestion", "output"]],
  ["$KV.REPORTS.trigger.default.s.t", ["ingestion", "output"]],
  ["work.privacy.reading", ["gateway"]],
  ["work.output.reading", ["gateway"]],
  ["work.privacy.other", []],
  ["work.inference.embed", ["gateway", "output"]],
  ["work.semantic-search.find", ["gateway"]],
  ["work.semantic-search.replace", ["output"]],
  ["work.output.erase", ["gateway"]],
  ["work.privacy.dead-letters.show", ["gateway"]],
  ["work.output.dead-letters.redrive", ["gateway"]],
  ["work.inference.redrive", ["output"]],
  ["work.semantic-search.redrive", ["output"]],
  ["work.output.anonymize", ["gateway"]],
  ["_INBOX.x", []],
  ["$SYS.REQ.SERVER.PING", []],
  ["$JS.API.STREAM.NAMES", []],
  ["$JS.API.STREAM.LIST", []],
]);
// Whoever serves answers those who ask.
for (const user of brokerUsers) publishing.set(`_INBOX_${user}.x`, []);
publishing.set(`_INBOX_${listener}.x`, [listener]);
publishing.set("_INBOX_gateway.x", servers).set("_INBOX_ingestion.x", ["privacy"]);
publishing.set("_INBOX_output.x", ["privacy", "inference", "semantic-search"]);
for (const stream of allStreams) {
  const counts = measured.includes(stream) ? [adapter] : [];
  publishing.set(`$JS.API.STREAM.INFO.${stream}`, [...(inspects[stream] ?? []), ...counts]);
  publishing.set(`$JS.API.STREAM.PURGE.${stream}`, purges[stream] ?? []);
  publishing.set(`$JS.API.DIRECT.GET.${stream}.some.subject`, directs[stream] ?? []);
  // By sequence number or many at once.
  publishing.set(`$JS.API.DIRECT.GET.${stream}`, directs[stream] ?? []);
  publishing.set(`$JS.API.STREAM.MSG.DELETE.${stream}`, erases[stream] ?? []);
  publishing.set(`$JS.API.CONSUMER.CREATE.${stream}.mine.filter`, tails[stream] ?? []);
  publishing.set(`$JS.API.CONSUMER.DELETE.${stream}.mine`, tails[stream] ?? []);
  // One service parks, so it alone may have a consumer there.
  publishing.set(
    `$JS.API.CONSUMER.MSG.NEXT.${stream}.mine`,
    stream === "PARKED" ? ["output"] : (tails[stream] ?? []),
  );
  for (const api of ["MSG.GET", "CREATE", "UPDATE", "DELETE", "SNAPSHOT", "RESTORE"]) {
    publishing.set(`$JS.API.STREAM.${api}.${stream}`, []);
  }
  for (const api of ["DURABLE.CREATE", "LIST", "NAMES", "PAUSE"]) {
    publishing.set(`$JS.API.CONSUMER.${api}.${stream}.mine`, []);
  }
}
// Whether a subscriber has anything to catch up on is asked of the leader.
publishing.set("$JS.API.STREAM.MSG.GET.RESULT", ["gateway"]);
publishing.set("$JS.API.CONSUMER.DURABLE.CREATE.EVENTS.mine", ["output"]);
for (const [stream, name, user] of consumers) {
  publishing.set(`$JS.API.CONSUMER.MSG.NEXT.${stream}.${name}`, [user]);
  publishing.set(`$JS.API.CONSUMER.INFO.${stream}.${name}`, [user, adapter]);
  publishing.set(`$JS.API.CONSUMER.DELETE.${stream}.${name}`, []);
  publishing.set(`$JS.API.CONSUMER.CREATE.${stream}.${name}`, []);
  publishing.set(`$JS.ACK.${stream}.${name}.1.1.1.1.1`, [user]);
  publishing.set(`$JS.ACK._.hash.${stream}.${name}.1.1.1.1.1.x`, [user]);
}

/** … or subscribe. */
export const subscribing = new Map<string, readonly BrokerUser[]>(
  [">", "raw.>", "raw.batch.any.default.s", "clean.>", "enriched.>", "result.>", "content.>", "embedding.>"]
    .concat([
      "event.>",
      "dlq.>",
      "$KV.>",
      "$JS.>",
      "$JS.ACK.>",
      "$JS.EVENT.>",
      "$SYS.>",
      "_INBOX.>",
      "work.>",
      "trigger.>",
      "*.>",
    ])
    .map((subject) => [subject, []]),
);
subscribing.set("trigger.*.>", [listener]);
for (const tapped of ["clean.>", "enriched.>", "result.>"]) subscribing.set(tapped, ["gateway"]);
for (const user of brokerUsers) {
  subscribing.set(`_INBOX_${user}.>`, [user]);
  subscribing.set(`work.${user}.>`, servers.includes(user) ? [user] : []);
}

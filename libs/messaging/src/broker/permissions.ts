import { buckets, consumerPlans, parkedStream } from "./streams.js";
import { subjects } from "./subjects.js";

/**
 * Who may do what on the broker: the one table from which local mode and the chart render their users. What
 * is not listed is denied. Stream reads (`MSG.GET`, `DIRECT.GET`, consumer creation) are listed like any
 * other subject, since they bypass subject permissions of the messages themselves.
 */
export interface Permissions {
  publish: string[];
  subscribe: string[];
}

export const serviceUsers = [
  "gateway",
  "ingestion",
  "buffer",
  "privacy",
  "inference",
  "semantic-search",
  "output",
] as const;

export type ServiceUser = (typeof serviceUsers)[number];

/** Tells an autoscaler how much waits: runs in a cluster only, and reads states, never a message. */
export const adapterUser = "metrics-adapter";

/** Hears what triggers of action nats tell, and nothing else: for programs that are no part of Millrace. */
export const listenerUser = "listener";

/** Everybody in the table. */
export const brokerUsers = [...serviceUsers, adapterUser, listenerUser] as const;

export type BrokerUser = (typeof brokerUsers)[number];

/** Provisions streams and consumers, and reads what an operator reads; no service runs as it. */
export const adminUser = "provisioner";

export const inboxPrefix = (user: string): string => `_INBOX_${user}`;

interface Grant {
  publish?: string[];
  subscribe?: string[];
}

const publishTo = (...subjects: string[]): Grant => ({ publish: subjects });

/** Acks in both forms that servers use: plain, and with domain and account. */
const consume = (consumer: string): Grant => {
  const plan = consumerPlans.find((known) => known.name === consumer);
  const stream = plan?.stream ?? "";
  return publishTo(
    `$JS.API.CONSUMER.INFO.${stream}.${consumer}`,
    `$JS.API.CONSUMER.MSG.NEXT.${stream}.${consumer}`,
    `$JS.ACK.${stream}.${consumer}.>`,
    `$JS.ACK.*.*.${stream}.${consumer}.>`,
  );
};

/** All consumers of a stage, and the attempts that it counts. */
const stage = (name: string): Grant => ({
  publish: [
    ...consumerPlans
      .filter((plan) => plan.stage === name)
      .flatMap((plan) => consume(plan.name).publish ?? []),
    `$JS.API.STREAM.INFO.KV_${buckets.attempts}`,
    `$JS.API.DIRECT.GET.KV_${buckets.attempts}.$KV.${buckets.attempts}.${name}.>`,
    `$KV.${buckets.attempts}.${name}.>`,
  ],
});

/**
 * Parking: what the stage stored under its name, read by a consumer of one stream each. Only stages of one
 * service park, so that no other one can pull what is not its own.
 */
const park = (...stages: string[]): Grant =>
  publishTo(
    ...stages.map((name) => subjects.parked(name, "*", "*")),
    ...stages.map((name) => `$JS.API.CONSUMER.CREATE.${parkedStream}.*.${subjects.parked(name, "*", "*")}`),
    `$JS.API.STREAM.INFO.${parkedStream}`,
    `$JS.API.CONSUMER.INFO.${parkedStream}.*`,
    `$JS.API.CONSUMER.MSG.NEXT.${parkedStream}.*`,
    `$JS.ACK.${parkedStream}.>`,
    `$JS.ACK.*.*.${parkedStream}.>`,
  );

/** Ephemeral ordered reading of a whole stream. */
const tail = (stream: string): Grant =>
  publishTo(
    `$JS.API.STREAM.INFO.${stream}`,
    // Without a tail where several filters don't fit a subject.
    `$JS.API.CONSUMER.CREATE.${stream}`,
    `$JS.API.CONSUMER.CREATE.${stream}.>`,
    `$JS.API.CONSUMER.INFO.${stream}.*`,
    `$JS.API.CONSUMER.DELETE.${stream}.*`,
    `$JS.API.CONSUMER.MSG.NEXT.${stream}.*`,
    `$JS.ACK.${stream}.>`,
    `$JS.ACK.*.*.${stream}.>`,
    `$JS.FC.${stream}.>`,
  );

/** How many batches are stored, and which. Shows subjects and sequence numbers, never content. */
const inspect = (...streams: string[]): Grant =>
  publishTo(...streams.map((stream) => `$JS.API.STREAM.INFO.${stream}`));

/** How far the consumers of stages are: numbers only. */
const measure = (): Grant =>
  publishTo(...consumerPlans.map(({ stream, name }) => `$JS.API.CONSUMER.INFO.${stream}.${name}`));

const purge = (...streams: string[]): Grant =>
  publishTo(...streams.map((stream) => `$JS.API.STREAM.PURGE.${stream}`));

/** One message, by its number, and its bytes overwritten. */
const erase = (...streams: string[]): Grant =>
  publishTo(...streams.map((stream) => `$JS.API.STREAM.MSG.DELETE.${stream}`));

/** Messages of a stream that allows it, by subject or in pages, without a consumer. */
const direct = (stream: string): Grant =>
  publishTo(`$JS.API.DIRECT.GET.${stream}`, `$JS.API.DIRECT.GET.${stream}.>`);

const read = (bucket: string): Grant => {
  const watched = tail(`KV_${bucket}`).publish ?? [];
  return publishTo(...watched, `$JS.API.DIRECT.GET.KV_${bucket}.>`, `$JS.API.DIRECT.GET.KV_${bucket}`);
};

const write = (bucket: string, ...keys: string[]): Grant =>
  publishTo(...keys.map((key) => `$KV.${bucket}.${key}`));

const serve = (user: ServiceUser, askers: readonly ServiceUser[]): Grant => ({
  subscribe: [`work.${user}.>`],
  publish: askers.map((asker) => `${inboxPrefix(asker)}.>`),
});

const ask = (...verbs: string[]): Grant => publishTo(...verbs.map((verb) => `work.${verb}`));

const letterVerbs = ["list", "show", "redrive", "discard"];
const askLetters = (keeper: ServiceUser): Grant =>
  ask(...letterVerbs.map((verb) => `${keeper}.dead-letters.${verb}`));

const grants: Record<BrokerUser, readonly Grant[]> = {
  gateway: [
    read(buckets.config),
    write(buckets.config, "stream.>", "source.>", "group.>", "trigger.>"),
    read(buckets.ledger),
    read(buckets.reports),
    inspect("RAW", "CLEAN", "ENRICHED", parkedStream),
    tail("RESULT"),
    publishTo("$JS.API.STREAM.MSG.GET.RESULT"),
    tail("EVENTS"),
    direct("CONTENT"),
    // Messages that members of a group gave up on.
    publishTo("dlq.clean.>", "event.*.*.dead_letter"),
    read(buckets.groups),
    write(buckets.groups, ">"),
    purge("RESULT", "EVENTS", "CONTENT", "EMBEDDINGS"),
    purge(...[buckets.ledger, buckets.reports, buckets.leases, buckets.groups].map((name) => `KV_${name}`)),
    inspect("DLQ"),
    publishTo("event.*.*.privacy_exempted", "event.*.*.notification"),
    ask("privacy.clean", "privacy.reading", "output.reading", "inference.embed", "semantic-search.find"),
    ask("output.erase", "output.anonymize", "output.show-batch"),
    // Taps look at what passes, never at RAW.
    { subscribe: ["clean.>", "enriched.>", "result.>"] },
    askLetters("privacy"),
    askLetters("output"),
  ],
  ingestion: [
    read(buckets.config),
    // How far outputs are, where a source commits by that.
    read(buckets.ledger),
    read(buckets.reports),
    write(buckets.reports, ">"),
    read(buckets.leases),
    write(buckets.leases, ">"),
    inspect("RAW", "CLEAN", "ENRICHED"),
    publishTo("event.*.*.source_failed", "event.*.*.source_gap"),
    // Errors name files, and these may be called after people.
    ask("privacy.clean"),
  ],
  buffer: [
    read(buckets.config),
    read(buckets.ledger),
    write(buckets.ledger, "buffer.>"),
    // Which lease of a source is the latest: what comes under an earlier one is refused.
    read(buckets.leases),
    // Of later stages how much is left: whether a stream's bytes are still live.
    inspect("RAW", "CLEAN", "ENRICHED", parkedStream),
    // Past the filter only what an exempt stream takes in.
    publishTo("raw.>", "clean.>", "enriched.>", "dlq.raw.>"),
    publishTo("event.*.*.dead_letter", "event.*.*.backpressure"),
  ],
  privacy: [
    stage("privacy"),
    read(buckets.config),
    read(buckets.ledger),
    write(buckets.ledger, "privacy.>"),
    inspect("CLEAN", "ENRICHED"),
    publishTo("clean.>", "enriched.>", "dlq.raw.>", "event.*.*.dead_letter", "event.*.*.privacy_violation"),
    // It shows letters of the raw side through its filter, and erases them.
    direct("DLQ_RAW"),
    erase("DLQ_RAW"),
    serve("privacy", ["gateway", "ingestion", "output"]),
  ],
  inference: [
    stage("inference"),
    read(buckets.config),
    read(buckets.ledger),
    write(buckets.ledger, "inference.>"),
    inspect("ENRICHED"),
    publishTo("enriched.>", "dlq.clean.>", "event.*.*.dead_letter"),
    serve("inference", ["gateway", "output"]),
  ],
  "semantic-search": [
    stage("search"),
    read(buckets.config),
    read(buckets.ledger),
    write(buckets.ledger, "search.>"),
    tail("EMBEDDINGS"),
    direct("EMBEDDINGS"),
    erase("EMBEDDINGS"),
    publishTo("embedding.>", "dlq.clean.>", "event.*.*.dead_letter", "event.*.*.similarity_threshold"),
    serve("semantic-search", ["gateway", "output"]),
  ],
  output: [
    stage("results"),
    stage("store"),
    stage("kafka"),
    park("results", "store", "kafka"),
    read(buckets.config),
    read(buckets.ledger),
    write(buckets.ledger, "results.>", "store.>", "kafka.>"),
    // How large what it wrote is, to keep each stream's budget over a restart.
    tail("RESULT"),
    purge("RESULT"),
    // What it keeps of contents goes, or is rewritten, when it is asked to.
    direct("CONTENT"),
    erase("CONTENT", "RESULT"),
    publishTo("rewrite.>", "artifact.>"),
    // It keeps the letters of the clean side; each stage handles its own again.
    direct("DLQ"),
    erase("DLQ"),
    ask("inference.redrive", "semantic-search.redrive"),
    ask("privacy.clean", "inference.embed", "semantic-search.replace"),
    publishTo("result.>", "content.>", "event.*.*.new_data", "event.*.*.dead_letter", "dlq.clean.>"),
    // A consumer a trigger, how it fares, and what it does.
    tail("EVENTS"),
    // By this one the client makes consumers of several filters.
    publishTo("$JS.API.CONSUMER.DURABLE.CREATE.EVENTS.*"),
    read(buckets.reports),
    write(buckets.reports, "trigger.>"),
    publishTo("event.*.*.notification", subjects.notice("*", ">"), subjects.triggerLetter("*", "*", "*")),
    serve("output", ["gateway"]),
  ],
  [adapterUser]: [
    measure(),
    inspect("RAW", "CLEAN", "ENRICHED"),
    read(buckets.config),
    read(buckets.ledger),
    read(buckets.reports),
  ],
  // The broker takes an empty list for everything, so it may write to itself.
  [listenerUser]: [{ publish: [`${inboxPrefix(listenerUser)}.>`], subscribe: [subjects.notice("*", ">")] }],
};

export function permissionsOf(user: BrokerUser): Permissions {
  const publish = new Set<string>();
  const subscribe = new Set<string>([`${inboxPrefix(user)}.>`]);
  for (const grant of grants[user]) {
    for (const subject of grant.publish ?? []) publish.add(subject);
    for (const subject of grant.subscribe ?? []) subscribe.add(subject);
  }
  return { publish: [...publish].sort(), subscribe: [...subscribe].sort() };
}

export function permissionsOfAdmin(): Permissions {
  return { publish: ["$JS.>", "$KV.>"], subscribe: [`${inboxPrefix(adminUser)}.>`] };
}

/** The whole table, by user. */
export function permissionTable(): Record<BrokerUser | typeof adminUser, Permissions> {
  const entries = brokerUsers.map((user): [BrokerUser, Permissions] => [user, permissionsOf(user)]);
  const table = Object.fromEntries(entries) as Record<BrokerUser, Permissions>;
  return { [adminUser]: permissionsOfAdmin(), ...table };
}

import { Priority } from "@millrace/proto/message";
import type { Value } from "@millrace/proto/source";
import { type Filter, type Trigger, TriggerState, type TriggerStatus } from "@millrace/proto/trigger";
import { type EventType, eventTypes } from "../receive/event-types.js";
import { invalidArgument } from "../rpc/millrace-error.js";
import { fromConnection, type KafkaOutput, toConnection } from "../stream/outputs/kafka-output.js";
import { checkBoolean, checkKeys, checkOneOf, checkText, checkTexts } from "../units/checks.js";

/** A value, or the name of a secret of the server's operator. */
export type HeaderValue = string | { secret: string };

/** What must hold for a trigger to act; each that is named. */
export interface TriggerFilter {
  /** Of `new_data`. */
  priority?: "high" | "batch";
  sourceIds?: readonly string[];
  /** Of `privacy_violation`, such as `["CARD"]`. */
  findingTypes?: readonly string[];
  /** Of `similarity_threshold`. */
  minScore?: number;
  /** Of `notification`. */
  channels?: readonly string[];
}

/** What a trigger does: exactly one of these. */
export interface TriggerAction {
  /**
   * POSTs the event by the rules of Standard Webhooks. `secrets` are names of the operator's secrets; two
   * while one replaces the other.
   */
  webhook?: { url: string; secrets?: readonly string[]; headers?: Readonly<Record<string, HeaderValue>> };
  /** Publishes on `trigger.<tenant>.<nats>` of the broker. */
  nats?: string;
  /** Tells a channel by a `notification` event. */
  notify?: string;
  /** Sends the event to a Kafka topic as a CloudEvent, keyed by its stream. */
  kafka?: TriggerKafka;
  /**
   * Cleans the contents that the event leads to by every detector, for good. Needs a token of role `privacy`,
   * where the gateway has tokens.
   */
  anonymize?: true;
}

/** Secrets are names of files in output's directory of them. */
export type TriggerKafka = Pick<KafkaOutput, "bootstrapServers" | "topic" | "tls" | "sasl">;

export interface TriggerSettings extends TriggerAction {
  /** 1 to 64 of a-z, 0-9 and '-', beginning with a letter. */
  id: string;
  /** Default: every stream. */
  stream?: string;
  on: readonly EventType[];
  where?: TriggerFilter;
  /** Events wait, 7 days at most. Default false. */
  paused?: boolean;
}

export interface TriggerInfo extends TriggerSettings {
  createdTime: Date;
  updatedTime: Date;
}

export interface TriggerStatusInfo extends TriggerInfo {
  /** `disabled`: the target answered 410; an update tries it again. */
  state: "active" | "paused" | "failing" | "disabled";
  /** Events that are not delivered yet. */
  waiting: number;
  /** Events that it gave up on. */
  deadLetters: number;
  lastError: string;
  lastErrorTime: Date | undefined;
  lastDoneTime: Date | undefined;
}

const actionKeys = ["webhook", "nats", "notify", "kafka", "anonymize"] as const;
const keys = ["id", "stream", "on", "where", "paused", ...actionKeys] as const;
const filterKeys = ["priority", "sourceIds", "findingTypes", "minScore", "channels"] as const;

/** Checks shapes; what names and URLs may be is the server's to say. */
export function toWireTrigger(settings: TriggerSettings): Trigger {
  checkKeys(settings, keys, "");
  const { id, stream = "", on, where, paused = false } = settings;
  checkText(id, "id");
  if (stream !== "") checkText(stream, "stream");
  checkTexts(on, "on");
  for (const type of on) checkOneOf(type, "on", eventTypes);
  checkBoolean(paused, "paused");
  return {
    id,
    stream,
    types: [...on],
    filter: where && toWireFilter(where),
    action: toWireAction(settings),
    paused,
    createdMs: 0,
    updatedMs: 0,
  };
}

function toWireFilter(where: TriggerFilter): Filter {
  checkKeys(where, filterKeys, "where");
  const { priority, sourceIds = [], findingTypes = [], minScore, channels = [] } = where;
  if (priority !== undefined) checkOneOf(priority, "where.priority", ["high", "batch"]);
  for (const [name, list] of Object.entries({ sourceIds, findingTypes, channels }))
    checkTexts(list, `where.${name}`);
  if (minScore !== undefined && typeof minScore !== "number") {
    throw invalidArgument("where.minScore", "is no number", "Give a cosine from -1 to 1.");
  }
  return {
    priority: toWirePriority(priority),
    sourceIds: [...sourceIds],
    findingTypes: [...findingTypes],
    minScore,
    channels: [...channels],
  };
}

function toWirePriority(priority: "high" | "batch" | undefined): Priority {
  if (priority === undefined) return Priority.PRIORITY_UNSPECIFIED;
  return priority === "high" ? Priority.PRIORITY_HIGH : Priority.PRIORITY_BATCH;
}

function toWireAction(action: TriggerAction): Trigger["action"] {
  const named = actionKeys.filter((key) => action[key] !== undefined);
  if (named.length !== 1) {
    const problem = named.length === 0 ? "is missing" : `is given as ${named.join(" and ")}`;
    throw invalidArgument("action", problem, `Give one of ${actionKeys.join(", ")}.`);
  }
  const { webhook, nats, notify, kafka, anonymize } = action;
  if (webhook !== undefined) return { $case: "webhook", value: toWireWebhook(webhook) };
  if (nats !== undefined) {
    checkText(nats, "nats");
    return { $case: "nats", value: { name: nats } };
  }
  if (kafka !== undefined) {
    checkKeys(kafka, ["bootstrapServers", "topic", "tls", "sasl"], "kafka");
    checkText(kafka.topic, "kafka.topic");
    return { $case: "kafka", value: { connection: toConnection(kafka, "kafka"), topic: kafka.topic } };
  }
  if (anonymize !== undefined) {
    if (anonymize !== true) throw invalidArgument("anonymize", "is not true", "Give true, or leave it out.");
    return { $case: "anonymize", value: {} };
  }
  const channel = notify ?? "";
  checkText(channel, "notify");
  return { $case: "notify", value: { name: channel } };
}

function toWireWebhook(webhook: NonNullable<TriggerAction["webhook"]>) {
  checkKeys(webhook, ["url", "secrets", "headers"], "webhook");
  const { url, secrets = [], headers = {} } = webhook;
  checkText(url, "webhook.url");
  checkTexts(secrets, "webhook.secrets");
  const named = Object.entries(headers).map(([name, value]): [string, Value] => [name, toWireValue(value)]);
  return { url, secrets: [...secrets], headers: Object.fromEntries(named) };
}

const toWireValue = (value: HeaderValue): Value =>
  typeof value === "string"
    ? { kind: { $case: "text", value } }
    : { kind: { $case: "secret", value: value.secret } };

export function toTriggerInfo(trigger: Trigger): TriggerInfo {
  const { id, stream, types, filter, paused, createdMs, updatedMs } = trigger;
  // What a newer server knows and this version does not is left out.
  const on = types.filter((type): type is EventType => eventTypes.some((known) => known === type));
  return {
    id,
    stream,
    on,
    ...(filter && { where: toFilter(filter) }),
    ...toAction(trigger.action),
    paused,
    createdTime: new Date(createdMs),
    updatedTime: new Date(updatedMs),
  };
}

function toFilter({ priority, sourceIds, findingTypes, minScore, channels }: Filter): TriggerFilter {
  return {
    ...(priority === Priority.PRIORITY_HIGH && { priority: "high" as const }),
    ...(priority === Priority.PRIORITY_BATCH && { priority: "batch" as const }),
    ...(sourceIds.length > 0 && { sourceIds }),
    ...(findingTypes.length > 0 && { findingTypes }),
    ...(minScore !== undefined && { minScore }),
    ...(channels.length > 0 && { channels }),
  };
}

function toAction(action: Trigger["action"]): TriggerAction {
  switch (action?.$case) {
    case "webhook": {
      const { url, secrets, headers } = action.value;
      const named = Object.entries(headers).map(([name, { kind }]): [string, HeaderValue] => [
        name,
        kind?.$case === "secret" ? { secret: kind.value } : (kind?.value ?? ""),
      ]);
      return { webhook: { url, secrets, headers: Object.fromEntries(named) } };
    }
    case "nats":
      return { nats: action.value.name };
    case "notify":
      return { notify: action.value.name };
    case "kafka":
      return { kafka: { ...fromConnection(action.value.connection), topic: action.value.topic } };
    case "anonymize":
      return { anonymize: true };
    case undefined:
      return {};
  }
}

const states: Readonly<Partial<Record<TriggerState, TriggerStatusInfo["state"]>>> = {
  [TriggerState.TRIGGER_STATE_PAUSED]: "paused",
  [TriggerState.TRIGGER_STATE_FAILING]: "failing",
  [TriggerState.TRIGGER_STATE_DISABLED]: "disabled",
};

export function toStatusInfo(trigger: Trigger, status: TriggerStatus | undefined): TriggerStatusInfo {
  const timeOf = (ms: number | undefined): Date | undefined => (ms ? new Date(ms) : undefined);
  return {
    ...toTriggerInfo(trigger),
    state: states[status?.state ?? TriggerState.TRIGGER_STATE_UNSPECIFIED] ?? "active",
    waiting: status?.waiting ?? 0,
    deadLetters: status?.deadLetters ?? 0,
    lastError: status?.lastError ?? "",
    lastErrorTime: timeOf(status?.lastErrorMs),
    lastDoneTime: timeOf(status?.lastDoneMs),
  };
}

import { findingTypes, limits } from "@millrace/envelope";
import { CodedError } from "@millrace/errors";
import { hiddenText, secretName, shownValue } from "@millrace/proto";
import { Priority } from "@millrace/proto/message";
import type { Value } from "@millrace/proto/source";
import type { Filter, Trigger, Webhook } from "@millrace/proto/trigger";
import { completeRecord } from "../kafka/kafka-record.js";
import { checkStreamName } from "../stream/stream-name.js";
import { eventTypes } from "./event-types.js";

const namePattern = /^[a-z]([a-z0-9-]{0,62}[a-z0-9])?$/;
const nameRemedy = "Use 1 to 64 of a-z, 0-9 and '-', beginning with a letter and not ending in '-'.";
const subjectPattern = /^[a-z0-9_-]{1,64}(\.[a-z0-9_-]{1,64}){0,7}$/;
const listMax = 64;
const urlCharsMax = 2_048;
const headersMax = 16;
const headerCharsMax = 4_096;
const headerName = /^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}$/;
/** What the sender says itself. */
const ownHeaders =
  /^(webhook-.*|content-(type|length)|host|connection|transfer-encoding|upgrade|te|trailer)$/i;
/** Acting on these would be told by the same type again, without end. */
const notToNotify: readonly string[] = ["notification"];
/** Events that lead to contents. */
const aboutContents: readonly string[] = [
  "new_data",
  "privacy_violation",
  "similarity_threshold",
  "notification",
];

/**
 * The trigger, checked; times are left for the caller. Whether a URL's host may be reached is output's to
 * say, at each try: it is in the trigger's status. Errors: `invalid_argument` with the field as the request
 * names it.
 */
export function completeTrigger(given: Trigger | undefined): Trigger {
  if (given === undefined) throw invalid("trigger", "is missing", "Give the trigger's settings.");
  checkName(given.id, "trigger.id");
  if (given.stream !== "") checkStreamName(given.stream, "trigger.stream");
  const types = [...new Set(given.types)];
  if (types.length === 0 || !types.every((type) => eventTypes.includes(type))) {
    throw invalid("trigger.types", "names no known event", `Use some of ${eventTypes.join(", ")}.`);
  }
  return {
    id: given.id,
    stream: given.stream,
    types,
    filter: given.filter && completeFilter(given.filter),
    action: completeAction(given, types),
    paused: given.paused,
    createdMs: 0,
    updatedMs: 0,
  };
}

export function checkName(name: string, field: string): void {
  if (!namePattern.test(name)) throw invalid(field, "is no such name", nameRemedy);
}

/** As it is shown: what headers hold is told to nobody. */
export function shownTrigger(trigger: Trigger): Trigger {
  if (trigger.action?.$case !== "webhook") return trigger;
  const { value } = trigger.action;
  const headers = Object.fromEntries(
    Object.entries(value.headers).map(([name, each]): [string, Value] => [name, shownValue(each)]),
  );
  return { ...trigger, action: { $case: "webhook", value: { ...value, headers } } };
}

/**
 * Headers that come as they are shown keep what they held, unless they would go to another host: whoever may
 * change a trigger may not read them. Errors: `invalid_argument`.
 */
export function keepHidden(trigger: Trigger, before: Trigger | undefined): Trigger {
  if (trigger.action?.$case !== "webhook") return trigger;
  const { value } = trigger.action;
  const earlier = before?.action?.$case === "webhook" ? before.action.value : undefined;
  const isSameHost = earlier !== undefined && new URL(earlier.url).origin === new URL(value.url).origin;
  const held = isSameHost ? earlier.headers : {};
  const headers = Object.entries(value.headers).map(([name, each]): [string, Value] => {
    if (each.kind?.$case !== "text" || each.kind.value !== hiddenText) return [name, each];
    const kept = held[name];
    if (kept !== undefined) return [name, kept];
    throw invalid("trigger.webhook.headers", `has one that is only ${hiddenText}`, "Give its value anew.");
  });
  return {
    ...trigger,
    action: { $case: "webhook", value: { ...value, headers: Object.fromEntries(headers) } },
  };
}

function completeFilter(given: Filter): Filter {
  const field = "trigger.filter";
  const { priority, sourceIds, findingTypes: findings, minScore, channels } = given;
  if (priority < Priority.PRIORITY_UNSPECIFIED || priority > Priority.PRIORITY_BATCH) {
    throw invalid(`${field}.priority`, "is no known one", "Use PRIORITY_HIGH or PRIORITY_BATCH.");
  }
  for (const [name, list] of Object.entries({ source_ids: sourceIds, channels })) {
    if (list.length > listMax || list.some((each) => each === "" || each.length > limits.sourceIdCharsMax))
      throw invalid(
        `${field}.${name}`,
        "is too long, or has an empty entry",
        `Give ${listMax} at most, of 1 to ${limits.sourceIdCharsMax} characters.`,
      );
  }
  const known: ReadonlySet<string> = new Set(findingTypes);
  if (findings.some((type) => !known.has(type))) {
    throw invalid(`${field}.finding_types`, "names an unknown type", `Use some of ${[...known].join(", ")}.`);
  }
  if (minScore !== undefined && !(minScore >= -1 && minScore <= 1)) {
    throw invalid(`${field}.min_score`, `is ${minScore}`, "Use a cosine from -1 to 1.");
  }
  return { priority, sourceIds, findingTypes: [...new Set(findings)], minScore, channels };
}

function completeAction({ action }: Trigger, types: readonly string[]): Trigger["action"] {
  switch (action?.$case) {
    case "webhook":
      return { $case: "webhook", value: completeWebhook(action.value) };
    case "nats":
      if (subjectPattern.test(action.value.name)) return action;
      throw invalid(
        "trigger.nats.name",
        "is no name of a subject",
        "Use up to 8 tokens of a-z, 0-9, '-' and '_' with dots between; `trigger.<tenant>.` comes before.",
      );
    case "notify":
      checkName(action.value.name, "trigger.notify.name");
      if (!types.some((type) => notToNotify.includes(type))) return action;
      throw invalid(
        "trigger.notify",
        "would be told of itself without end",
        `Leave ${notToNotify.join(", ")} out of trigger.types.`,
      );
    case "kafka":
      return { $case: "kafka", value: completeRecord(action.value, { at: "trigger.kafka", invalid }) };
    case "anonymize":
      if (types.every((type) => aboutContents.includes(type))) return action;
      throw invalid(
        "trigger.types",
        "names events that lead to no content to anonymize",
        `Use some of ${aboutContents.join(", ")}.`,
      );
    case undefined:
      throw invalid(
        "trigger.action",
        "is missing",
        "Give one of webhook, nats, notify, kafka and anonymize.",
      );
  }
}

function completeWebhook({ url, secrets, headers }: Webhook): Webhook {
  const parsed = url.length <= urlCharsMax && URL.canParse(url) ? new URL(url) : undefined;
  const isUrl = parsed !== undefined && /^https?:$/.test(parsed.protocol) && parsed.hash === "";
  if (!isUrl || parsed.username !== "" || parsed.password !== "") {
    const remedy =
      "Give https://host/path without credentials or fragment; these go into headers or secrets.";
    throw invalid("trigger.webhook.url", "is no URL to post to", remedy);
  }
  if (secrets.length > 2 || !secrets.every((name) => secretName.test(name))) {
    const remedy = "Give the names of one or two files in output's directory of secrets.";
    throw invalid("trigger.webhook.secrets", "name no secrets", remedy);
  }
  const entries = Object.entries(headers);
  if (entries.length > headersMax) {
    throw invalid("trigger.webhook.headers", "are too many", `Give ${headersMax} at most.`);
  }
  for (const [name, value] of entries) checkHeader(name, value);
  return { url, secrets, headers };
}

function checkHeader(name: string, { kind }: Value): void {
  const field = "trigger.webhook.headers";
  if (!headerName.test(name) || ownHeaders.test(name)) {
    throw invalid(field, "has a name that can't be sent, or that Millrace sends itself", "Leave it out.");
  }
  if (kind === undefined)
    throw invalid(field, "has one without a value", "Give its text or a secret's name.");
  if (kind.$case === "secret" ? secretName.test(kind.value) : isHeaderText(kind.value)) return;
  throw invalid(field, "has a value that can't be sent", "Use printable ASCII, or the name of a secret.");
}

const isHeaderText = (text: string): boolean => text.length <= headerCharsMax && /^[\x20-\x7e]*$/.test(text);

function invalid(field: string, problem: string, remedy: string): CodedError {
  return new CodedError("invalid_argument", `check trigger: ${field} ${problem}`, { field, remedy });
}

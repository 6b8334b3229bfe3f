import { Event, type PrivacyViolation } from "@millrace/proto/event";
import { Priority } from "@millrace/proto/message";
import type { Filter } from "@millrace/proto/trigger";

type Payload = NonNullable<Event["payload"]>;

/** The part of an event that a filter lets pass; undefined where that is nothing. */
export function selectEvent(event: Event, filter: Filter | undefined): Event | undefined {
  if (filter === undefined || event.payload === undefined) return event;
  const payload = selectPayload(event.payload, filter);
  return payload === undefined ? undefined : { ...event, payload };
}

/** Which fields a type of event has; one that is set and not among them lets nothing pass. */
const fieldsOf: Partial<Record<Payload["$case"], readonly (keyof Filter)[]>> = {
  newData: ["priority", "sourceIds"],
  privacyViolation: ["sourceIds", "findingTypes"],
  similarityThreshold: ["sourceIds", "minScore"],
  notification: ["sourceIds", "channels"],
};

function selectPayload(payload: Payload, filter: Filter): Payload | undefined {
  const fields = setFields(filter);
  if (fields.length === 0) return payload;
  if (!fields.every((field) => fieldsOf[payload.$case]?.includes(field))) return undefined;
  const isSource = ({ sourceId }: { sourceId: string }): boolean =>
    filter.sourceIds.length === 0 || filter.sourceIds.includes(sourceId);
  switch (payload.$case) {
    case "newData": {
      const { value } = payload;
      const isLane = !fields.includes("priority") || value.priority === filter.priority;
      const messages = isLane ? value.messages.filter(isSource) : [];
      return messages.length === 0 ? undefined : { $case: "newData", value: { ...value, messages } };
    }
    case "privacyViolation": {
      const value = selectViolation(payload.value, filter, isSource);
      return Object.keys(value.counts).length === 0 ? undefined : { $case: "privacyViolation", value };
    }
    case "similarityThreshold": {
      const pairs = payload.value.pairs.filter(
        ({ content, score }) => content && isSource(content) && score >= (filter.minScore ?? -1),
      );
      const value = { ...payload.value, pairs };
      return pairs.length === 0 ? undefined : { $case: "similarityThreshold", value };
    }
    case "notification": {
      const { channel, messages } = payload.value;
      if (filter.channels.length > 0 && !filter.channels.includes(channel)) return undefined;
      const kept = messages.filter(isSource);
      if (filter.sourceIds.length > 0 && kept.length === 0) return undefined;
      return { $case: "notification", value: { ...payload.value, messages: kept } };
    }
    default:
      return undefined;
  }
}

function setFields(filter: Filter): (keyof Filter)[] {
  const lists = (["sourceIds", "findingTypes", "channels"] as const).filter(
    (field) => filter[field].length > 0,
  );
  return [
    ...lists,
    ...(filter.priority === Priority.PRIORITY_UNSPECIFIED ? [] : (["priority"] as const)),
    ...(filter.minScore === undefined ? [] : (["minScore"] as const)),
  ];
}

/**
 * Counts of what is left. Of messages that the event does not list only the types are known: they count where
 * every source is wanted.
 */
function selectViolation(
  value: PrivacyViolation,
  { sourceIds, findingTypes }: Filter,
  isSource: (message: { sourceId: string }) => boolean,
): PrivacyViolation {
  const wanted = (counts: Record<string, number>): Record<string, number> =>
    findingTypes.length === 0
      ? counts
      : Object.fromEntries(Object.entries(counts).filter(([type]) => findingTypes.includes(type)));
  const messages = value.messages
    .filter(isSource)
    .map((message) => ({ ...message, counts: wanted(message.counts) }))
    .filter(({ counts }) => Object.keys(counts).length > 0);
  if (sourceIds.length === 0) return { ...value, messages, counts: wanted(value.counts) };
  const counts: Record<string, number> = {};
  for (const message of messages)
    for (const [type, count] of Object.entries(message.counts)) counts[type] = (counts[type] ?? 0) + count;
  return { messages, counts, messagesOmitted: 0 };
}

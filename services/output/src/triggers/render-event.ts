import type { Event } from "@millrace/proto/event";
import { Priority } from "@millrace/proto/message";

/** What targets get: the JSON of Standard Webhooks, `{ type, timestamp, data }`. */
export function renderEvent(event: Event): string {
  const { id, type, stream, timeMs, payload } = event;
  const data = { id, stream, ...payloadOf(payload) };
  return JSON.stringify({ type, timestamp: new Date(timeMs).toISOString(), data });
}

function payloadOf(payload: Event["payload"]): object {
  if (payload === undefined) return {};
  if (payload.$case !== "newData") return payload.value;
  const priority = payload.value.priority === Priority.PRIORITY_BATCH ? "batch" : "high";
  return { priority, messages: payload.value.messages };
}

/** Attributes of a CloudEvent in binary mode, by the names of its headers: each protocol has its prefix. */
export function cloudEventHeaders(
  event: Event,
  deliveryId: string,
  prefix: "ce-" | "ce_",
): Record<string, string> {
  return {
    "content-type": "application/json",
    [`${prefix}specversion`]: "1.0",
    [`${prefix}id`]: deliveryId,
    [`${prefix}type`]: `millrace.${event.type}`,
    [`${prefix}source`]: `/streams/${event.stream}`,
    [`${prefix}time`]: new Date(event.timeMs).toISOString(),
  };
}

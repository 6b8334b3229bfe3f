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

/** Attributes of a CloudEvent in binary mode, by the names that its headers have on the broker. */
export function cloudEventHeaders(event: Event, deliveryId: string): Record<string, string> {
  return {
    "Nats-Msg-Id": deliveryId,
    "content-type": "application/json",
    "ce-specversion": "1.0",
    "ce-id": deliveryId,
    "ce-type": `millrace.${event.type}`,
    "ce-source": `/streams/${event.stream}`,
    "ce-time": new Date(event.timeMs).toISOString(),
  };
}

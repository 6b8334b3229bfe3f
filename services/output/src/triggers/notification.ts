import { outputId } from "@millrace/envelope";
import type { Event } from "@millrace/proto/event";
import type { ActionCall } from "./action.js";
import { messagesOf } from "./messages-of.js";

/** Who is to be told of an event, and what it is about. */
export function notificationOf(
  { event, deliveryId }: Pick<ActionCall, "event" | "deliveryId">,
  channel: string,
  nowMs: number,
): Event {
  const value = {
    channel,
    eventId: event.id,
    eventType: event.type,
    messages: messagesOf(event.payload),
    counts: event.payload?.$case === "privacyViolation" ? event.payload.value.counts : {},
  };
  return {
    id: outputId(deliveryId, "notification", 0),
    type: "notification",
    stream: event.stream,
    timeMs: Math.round(nowMs),
    payload: { $case: "notification", value },
  };
}

import { outputId } from "@millrace/envelope";
import type { Event, NewMessage } from "@millrace/proto/event";
import type { ActionCall } from "./action.js";

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

function messagesOf(payload: Event["payload"]): NewMessage[] {
  switch (payload?.$case) {
    case "newData":
      return payload.value.messages;
    case "privacyViolation":
      return payload.value.messages.map(({ messageId, sourceId }) => ({ messageId, sourceId }));
    case "similarityThreshold":
      return payload.value.pairs.flatMap(({ content }) =>
        content === undefined ? [] : [{ messageId: content.contentId, sourceId: content.sourceId }],
      );
    default:
      return [];
  }
}

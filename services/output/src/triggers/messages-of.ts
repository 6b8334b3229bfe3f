import type { Event, NewMessage } from "@millrace/proto/event";

/** The messages that an event leads to, as far as it names them. */
export function messagesOf(payload: Event["payload"]): NewMessage[] {
  switch (payload?.$case) {
    case "newData":
      return payload.value.messages;
    case "privacyViolation":
      return payload.value.messages.map(({ messageId, sourceId }) => ({ messageId, sourceId }));
    case "similarityThreshold":
      return payload.value.pairs.flatMap(({ content }) =>
        content === undefined ? [] : [{ messageId: content.contentId, sourceId: content.sourceId }],
      );
    case "notification":
      return payload.value.messages;
    default:
      return [];
  }
}

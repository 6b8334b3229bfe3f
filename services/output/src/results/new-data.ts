import { idText, messageViews, type OpenBatch, outputId } from "@millrace/envelope";
import { type Outgoing, subjects } from "@millrace/messaging";
import { Lane } from "@millrace/proto/batch";
import { Event } from "@millrace/proto/event";
import { Priority } from "@millrace/proto/message";

/** One event a batch: a client fans it out. */
export function newDataEvent(open: OpenBatch, nowMs: number): Outgoing {
  const { tenant, stream, lane, count } = open.header;
  const view = messageViews(open);
  const id = outputId(idText(open.header.id), "new-data", 0);
  const messages = Array.from({ length: count }, (_, row) => {
    const { id: messageId, sourceId } = view(row);
    return { messageId, sourceId };
  });
  const priority = lane === Lane.LANE_HIGH ? Priority.PRIORITY_HIGH : Priority.PRIORITY_BATCH;
  const event: Event = {
    id,
    type: "new_data",
    stream,
    timeMs: Math.round(nowMs),
    payload: { $case: "newData", value: { priority, messages } },
  };
  return { subject: subjects.event(tenant, stream, "new_data"), data: Event.encode(event).finish(), id };
}

import { deriveId } from "@millrace/envelope";
import { type Publisher, subjects } from "@millrace/messaging";
import { Event } from "@millrace/proto/event";
import type { Source } from "@millrace/proto/source";

/** Times between which a source could receive nothing. */
export interface SourceGap {
  fromMs: number;
  toMs: number;
  reason: string;
  resumed: boolean;
}

/** Tells whoever watches the stream that messages of a source may be missing. */
export const tellSourceGap =
  (publisher: Pick<Publisher, "publish">) =>
  async ({ tenant, source }: { tenant: string; source: Source }, gap: SourceGap): Promise<void> => {
    const fromMs = Math.round(gap.fromMs);
    const toMs = Math.round(gap.toMs);
    const { reason, resumed } = gap;
    const event: Event = {
      id: deriveId("source-gap", source.id, String(fromMs), String(toMs)),
      type: "source_gap",
      stream: source.stream,
      timeMs: toMs,
      payload: { $case: "sourceGap", value: { source: source.id, fromMs, toMs, reason, resumed } },
    };
    await publisher.publish({
      subject: subjects.event(tenant, source.stream, "source_gap"),
      data: Event.encode(event).finish(),
      id: event.id,
    });
  };

import { encodeBatch, idText, limits, type OpenBatch, splitBatch, stamp } from "@millrace/envelope";
import { type Handler, type Ledger, type Outgoing, type StreamRegistry, subjects } from "@millrace/messaging";
import type { Stream } from "@millrace/proto/stream";
import { contentsOf } from "../results/contents.js";
import { freshParts } from "../results/fresh-parts.js";
import { newDataEvent } from "../results/new-data.js";
import type { ResultBudget } from "../results/result-budget.js";
import { resultAgeSeconds } from "../results/result-limits.js";

export interface PublishResultsParts {
  registry: Pick<StreamRegistry, "findFor">;
  ledger: Pick<Ledger, "account" | "settle" | "stored">;
  budget: Pick<ResultBudget, "room" | "stored" | "ages" | "add">;
  version: string;
  now(): number;
}

/** Enriched batch in; what subscribers read, the contents of artifacts and the new_data event out. */
export const publishResults =
  ({ registry, ledger, budget, version, now }: PublishResultsParts): Handler =>
  async (enriched) => {
    const startedMs = now();
    const { header } = enriched;
    const stream = await registry.findFor(header);
    if (stream === undefined) return { dropped: "stream_deleted" };
    const { settled } = await ledger.account(header);
    const parts = freshParts(enriched, settled).map((part) =>
      stamp(part, { stage: "output", version, decidedBy: "", startedMs, endedMs: now() }),
    );
    const frames =
      stream.outputs?.results === undefined
        ? []
        : parts.flatMap((part) => resultFrames(part, stream, budget.ages(header.tenant, stream)));
    const bytes = frames.reduce((sum, { data }) => sum + data.length, 0);
    if (frames.length > 0) await budget.room(header.tenant, stream, { id: idText(header.id), bytes });
    const publish = [...frames, ...parts.flatMap((part) => others(part, stream, now()))];
    const intervals = [{ from: header.positionFrom, to: header.positionTo }];
    const done = parts.reduce((sum, part) => sum + part.header.count, 0);
    return {
      publish,
      after: (published) => {
        frames.forEach((frame, at) =>
          budget.add(header.tenant, stream, {
            seq: published[at]?.seq ?? 0,
            bytes: frame.data.length,
            timeMs: now(),
          }),
        );
        budget.stored(header.tenant, stream, idText(header.id));
        ledger.settle(header, { intervals, done });
        return ledger.stored();
      },
    };
  };

/** Results travel inline, so that what a stream keeps for subscribers pins no segment. */
function resultFrames(part: OpenBatch, stream: Stream, ages: boolean): Outgoing[] {
  const { tenant, stream: name } = part.header;
  return splitBatch(part, limits.batchMessagesMax, limits.inlineBytesMax, "results").map((piece) => ({
    subject: subjects.result(tenant, name),
    // Vectors are for the index; a subscriber would carry 768 bytes a message for nothing.
    data: encodeBatch(
      { ...piece, annotations: { ...piece.annotations, embeddings: undefined } },
      { $case: "inline", value: piece.body },
    ),
    id: idText(piece.header.id),
    messageCount: piece.header.count,
    // What a must-deliver group has not settled outlives its age: output removes it then.
    ...(ages ? { ttlSeconds: resultAgeSeconds(stream) } : {}),
  }));
}

function others(part: OpenBatch, stream: Stream, nowMs: number): Outgoing[] {
  return [
    ...(stream.outputs?.artifacts === true ? contentsOf(part, nowMs) : []),
    ...(stream.outputs?.events === true ? [newDataEvent(part, nowMs)] : []),
  ];
}

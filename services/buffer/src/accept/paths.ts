import { present } from "@millrace/errors";
import { encodeBatch, idText, type OpenBatch, stamp } from "@millrace/envelope";
import {
  type BatchPublisher,
  isInferred,
  pastFilter,
  type Published,
  type Publisher,
  routeOf,
  subjects,
} from "@millrace/messaging";
import type { Batch } from "@millrace/proto/batch";
import type { Stream } from "@millrace/proto/stream";

/**
 * The two ways out of buffer:
 *
 *     not exempt ──► raw side ───► RAW ──► privacy
 *     exempt ──────► clean side ─► CLEAN where there is something to infer, else ENRICHED
 */
export interface Paths {
  raw(open: OpenBatch, body: Batch["body"]): Promise<Published>;
  /** The batch's passport tells it. */
  exempt(open: OpenBatch, body: Batch["body"], of: { stream: Stream; startedMs: number }): Promise<Published>;
}

export interface PathOptions {
  publisher: Publisher;
  /** For bodies that buffer places itself, each on its side. */
  batches: { raw: BatchPublisher; clean: BatchPublisher };
  /** Fetches bodies of the clean side that another writer placed. */
  reader: { open(bytes: Uint8Array): Promise<OpenBatch>; release(open: OpenBatch): void };
  version: string;
  now(): number;
}

export function createPaths({ publisher, batches, reader, version, now }: PathOptions): Paths {
  /** Where another one made the body durable, only the reference is passed on. */
  const refer = (open: OpenBatch, body: Batch["body"], subject: string): Promise<Published> =>
    publisher.publish({
      subject,
      data: encodeBatch(open, body),
      id: idText(open.header.id),
      messageCount: open.header.count,
    });

  const place = async (open: OpenBatch, stream: Stream): Promise<Published> => {
    const published = await Promise.all(
      pastFilter(open, stream).map(({ batch, subject }) => batches.clean.publish(batch, subject)),
    );
    // Whoever wrote the body keeps it until the last piece is gone, which is longer than it is needed.
    return present(published.at(-1), "a piece of the batch");
  };

  return {
    raw: (open, body) => {
      const subject = subjects.raw(routeOf(open.header));
      return body?.$case === "range" ? refer(open, body, subject) : batches.raw.publish(open, subject);
    },
    exempt: async (open, body, { stream, startedMs }) => {
      const made = { stage: "buffer", version, decidedBy: "exempt", startedMs, endedMs: now() };
      const stamped = stamp(open, made);
      if (body?.$case !== "range") return place(stamped, stream);
      if (!isInferred(stamped, stream)) {
        const [out] = pastFilter(stamped, stream);
        return refer(stamped, body, present(out, "a way past the filter").subject);
      }
      // Inference gets small pieces, so the body has to be at hand.
      const fetched = await reader.open(encodeBatch(stamped, body));
      try {
        return await place(fetched, stream);
      } finally {
        reader.release(fetched);
      }
    },
  };
}

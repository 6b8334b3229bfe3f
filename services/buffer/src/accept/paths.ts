import { CodedError, present } from "@millrace/errors";
import { batchId, encodeBatch, idText, type OpenBatch, stamp } from "@millrace/envelope";
import {
  type BatchPublisher,
  isInferred,
  pastFilter,
  type Published,
  routeOf,
  subjects,
} from "@millrace/messaging";
import type { Batch, SegmentRange } from "@millrace/proto/batch";
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
  /** The batch is known: a body that was written for it once more can go. */
  discard(id: string, body: Batch["body"]): Promise<void>;
  /** The batch is refused for good: as `discard`, under the id that its writer gave its frame. */
  discardBatch(batch: Batch): Promise<void>;
}

/** Frees what a writer with a lease wrote. */
export interface LeasedBodies {
  discard(id: string, range: SegmentRange): Promise<void>;
  finish(id: string, range: SegmentRange): Promise<void>;
}

export interface PathOptions {
  /** Each places bodies on its side, or takes over those that lie there. */
  batches: { raw: BatchPublisher; clean: BatchPublisher };
  bodies: { raw: LeasedBodies; clean: LeasedBodies };
  /** Fetches bodies of the clean side that another writer placed. */
  reader: { open(bytes: Uint8Array): Promise<OpenBatch>; release(open: OpenBatch): void };
  version: string;
  now(): number;
}

export function createPaths({ batches, bodies, reader, version, now }: PathOptions): Paths {
  const leasedOf = (body: Batch["body"]): { leased?: SegmentRange } =>
    body?.$case === "range" ? { leased: body.value } : {};

  const place = async (open: OpenBatch, stream: Stream): Promise<Published> => {
    const pieces = pastFilter(open, stream);
    const published: Published[] = [];
    if (stream.ordered) {
      for (const { batch, subject } of pieces) published.push(await batches.clean.publish(batch, subject));
    } else {
      const publishing = pieces.map(({ batch, subject }) => batches.clean.publish(batch, subject));
      published.push(...(await Promise.all(publishing)));
    }
    return present(published.at(-1), "a piece of the batch");
  };

  const discard: Paths["discard"] = async (id, body) => {
    if (body?.$case !== "range") return;
    await bodies[body.value.log.startsWith("raw/") ? "raw" : "clean"]
      .discard(id, body.value)
      .catch(ignoreEnded);
  };

  return {
    raw: (open, body) => {
      const subject = subjects.raw(routeOf(open.header));
      return batches.raw.publish({ ...open, ...leasedOf(body) }, subject);
    },
    exempt: async (open, body, { stream, startedMs }) => {
      const made = { stage: "buffer", version, decidedBy: "exempt", startedMs, endedMs: now() };
      const stamped = stamp(open, made);
      if (body?.$case !== "range") return place(stamped, stream);
      if (!isInferred(stamped, stream)) {
        const [out] = pastFilter(stamped, stream);
        const { batch, subject } = present(out, "a way past the filter");
        return batches.clean.publish({ ...batch, ...leasedOf(body) }, subject);
      }
      // Inference gets small pieces, so the body has to be at hand.
      const fetched = await reader.open(encodeBatch(stamped, body));
      try {
        const published = await place(fetched, stream);
        await bodies.clean.finish(idText(open.header.id), body.value).catch(ignoreEnded);
        return published;
      } finally {
        reader.release(fetched);
      }
    },
    discard,
    discardBatch: async ({ header, body }) => {
      if (header !== undefined) await discard(batchId(header, header.positionFrom, header.positionTo), body);
    },
  };
}

/** Its lease has ended: the frame is found among those that it left, and known by its id. */
function ignoreEnded(caught: unknown): void {
  if (CodedError.from(caught).code !== "failed_precondition") throw caught;
}

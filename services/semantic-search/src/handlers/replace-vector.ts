import { CodedError } from "@millrace/errors";
import {
  type Outgoing,
  type Published,
  type Stored,
  type StreamRegistry,
  subjects,
} from "@millrace/messaging";
import { type ReplaceVectorRequest, type ReplaceVectorResponse, StoredEmbedding } from "@millrace/proto/work";

export interface MessagePlace {
  tenant: string;
  stream: string;
  source: string;
  position: number;
}

export interface ReplaceVectorParts {
  registry: Pick<StreamRegistry, "find">;
  /** Resolves when the sink of the index is through with a message. Errors: `deadline_exceeded`. */
  untilSettled(of: MessagePlace & { waitMs: number }): Promise<void>;
  readLast(subject: string): Promise<Stored | undefined>;
  erase(seq: number): Promise<boolean>;
  publish(message: Outgoing): Promise<Published>;
}

/** So long is a tombstone kept: a replica that heard nothing for longer starts anew, from what is there. */
const tombstoneSeconds = 7 * 24 * 3600;

/**
 * Puts another vector, or none, in the place of a content's. The old one is overwritten on the broker's disk:
 * much of a text can be told from its vector.
 */
export const replaceVector =
  ({ registry, untilSettled, readLast, erase, publish }: ReplaceVectorParts) =>
  async (request: ReplaceVectorRequest): Promise<ReplaceVectorResponse> => {
    const { embedding, source, offset, waitMs, expected } = request;
    if (embedding === undefined || embedding.contentId === "") {
      throw new CodedError("invalid_argument", "replace: no content is named", { field: "embedding" });
    }
    const { tenant, stream, contentId } = embedding;
    const found = await registry.find(tenant, stream);
    if (found?.outputs?.search !== true) return { replaced: false };
    await untilSettled({ tenant, stream, source, position: offset, waitMs });
    const subject = subjects.embedding(tenant, stream, contentId);
    const old = await readLast(subject);
    const isTombstone = embedding.vector.length === 0;
    if (old === undefined ? isTombstone || !expected : isTombstoned(old)) return { replaced: false };
    const data = StoredEmbedding.encode(embedding).finish();
    if (old !== undefined && Buffer.compare(old.data, data) === 0) return { replaced: false };
    if (old !== undefined) await erase(old.seq);
    await publish({
      subject,
      data,
      // Not the content's own: by that the broker knows the vector that was there first.
      id: `${contentId}-${old?.seq ?? 0}`,
      ...(isTombstone && { ttlSeconds: tombstoneSeconds }),
    });
    return { replaced: true };
  };

const isTombstoned = (stored: Stored): boolean => StoredEmbedding.decode(stored.data).vector.length === 0;

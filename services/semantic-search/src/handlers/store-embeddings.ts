import {
  artifactId,
  idText,
  messageId,
  type OpenBatch,
  outputId,
  rowEventTimeMs,
  rowPositions,
  rowSourceId,
} from "@millrace/envelope";
import {
  type Handler,
  type Ledger,
  type Outgoing,
  type Publisher,
  type StreamRegistry,
  subjects,
} from "@millrace/messaging";
import type { Header } from "@millrace/proto/batch";
import { Event, type SimilarContents } from "@millrace/proto/event";
import { StoredEmbedding } from "@millrace/proto/work";
import type { StoredVector } from "../similarity/similar-pairs.js";

export interface StoreEmbeddingsParts {
  registry: Pick<StreamRegistry, "findFor">;
  ledger: Pick<Ledger, "account" | "settle" | "stored">;
  /** Of new vectors, those with a near neighbour; asked only for streams with a threshold. */
  similarPairs(vectors: readonly StoredVector[], threshold: number): Promise<SimilarContents[]>;
  publisher: Pick<Publisher, "publish">;
  now(): number;
}

/** Enriched batch in, one message a vector out: the last one of a content is what every replica indexes. */
export const storeEmbeddings =
  ({ registry, ledger, similarPairs, publisher, now }: StoreEmbeddingsParts): Handler =>
  async (enriched) => {
    const { header } = enriched;
    const stream = await registry.findFor(header);
    if (stream === undefined) return { dropped: "stream_deleted" };
    const account = await ledger.account(header);
    const positions = rowPositions(header, enriched.columns);
    // What is settled may have been replaced or erased since: a redelivery brings nothing back.
    const isFresh = (row: number): boolean => !account.settled.has(positions[row] as number);
    let fresh = 0;
    for (let row = 0; row < header.count; row++) if (isFresh(row)) fresh++;
    const intervals = [{ from: header.positionFrom, to: header.positionTo }];
    const stored = [...embeddingsOf(enriched, { positions, isFresh })];
    const threshold = stream.outputs?.similarityThreshold;
    return {
      publish: stored.map(toOutgoing),
      after: async (published) => {
        if (threshold !== undefined && stored.length > 0) {
          const vectors = stored.map((each, at) => ({ stored: each, seq: published[at]?.seq ?? 0 }));
          const pairs = await similarPairs(vectors, threshold);
          if (pairs.length > 0) await publisher.publish(similarityEvent(header, { threshold, pairs }, now()));
        }
        ledger.settle(header, { intervals, done: fresh });
        return ledger.stored();
      },
    };
  };

/** One event a batch, before the batch is settled. */
function similarityEvent(
  header: Header,
  value: { threshold: number; pairs: SimilarContents[] },
  nowMs: number,
): Outgoing {
  const { tenant, stream } = header;
  const type = "similarity_threshold";
  const event: Event = {
    id: outputId(idText(header.id), "similarity-threshold", 0),
    type,
    stream,
    timeMs: Math.round(nowMs),
    payload: { $case: "similarityThreshold", value },
  };
  return { subject: subjects.event(tenant, stream, type), data: Event.encode(event).finish(), id: event.id };
}

const toOutgoing = (stored: StoredEmbedding): Outgoing => ({
  subject: subjects.embedding(stored.tenant, stored.stream, stored.contentId),
  data: StoredEmbedding.encode(stored).finish(),
  id: stored.contentId,
});

interface Rows {
  positions: Float64Array;
  isFresh(row: number): boolean;
}

function* embeddingsOf(enriched: OpenBatch, { positions, isFresh }: Rows): Generator<StoredEmbedding> {
  const { header, columns } = enriched;
  const embeddings = enriched.annotations.embeddings;
  if (embeddings === undefined) return;
  const vectorBytes = embeddings.dimensions * 2;
  for (const [at, row] of embeddings.rows.entries()) {
    if (!isFresh(row)) continue;
    const contentId =
      columns.ids.length === 0
        ? messageId(header, positions[row] as number)
        : idText(columns.ids.subarray(16 * row, 16 * row + 16));
    const sourceId = rowSourceId(columns, row);
    yield {
      tenant: header.tenant,
      stream: header.stream,
      artifact: artifactId(header, sourceId),
      contentId,
      sourceId,
      eventTimeMs: rowEventTimeMs(columns, row),
      model: embeddings.model,
      dimensions: embeddings.dimensions,
      vector: embeddings.vectors.subarray(at * vectorBytes, (at + 1) * vectorBytes),
    };
  }
}

import {
  artifactId,
  idText,
  messageId,
  type OpenBatch,
  rowEventTimeMs,
  rowPositions,
  rowSourceId,
} from "@millrace/envelope";
import { type Handler, type Ledger, type Outgoing, type StreamRegistry, subjects } from "@millrace/messaging";
import { StoredEmbedding } from "@millrace/proto/work";

/** Enriched batch in, one message a vector out: the last one of a content is what every replica indexes. */
export const storeEmbeddings =
  ({
    registry,
    ledger,
  }: {
    registry: Pick<StreamRegistry, "findFor">;
    ledger: Pick<Ledger, "account" | "settle" | "stored">;
  }): Handler =>
  async (enriched) => {
    const { header } = enriched;
    const stream = await registry.findFor(header);
    if (stream === undefined) return { dropped: "stream_deleted" };
    const account = await ledger.account(header);
    const positions = rowPositions(header, enriched.columns);
    let fresh = 0;
    for (let row = 0; row < header.count; row++) if (!account.settled.has(positions[row] as number)) fresh++;
    const intervals = [{ from: header.positionFrom, to: header.positionTo }];
    return {
      publish: [...embeddingsOf(enriched, positions)],
      after: () => {
        ledger.settle(header, { intervals, done: fresh });
        return ledger.stored();
      },
    };
  };

function* embeddingsOf(enriched: OpenBatch, positions: Float64Array): Generator<Outgoing> {
  const { header, columns } = enriched;
  const embeddings = enriched.annotations.embeddings;
  if (embeddings === undefined) return;
  const vectorBytes = embeddings.dimensions * 2;
  for (const [at, row] of embeddings.rows.entries()) {
    const contentId =
      columns.ids.length === 0
        ? messageId(header, positions[row] as number)
        : idText(columns.ids.subarray(16 * row, 16 * row + 16));
    const sourceId = rowSourceId(columns, row);
    const stored: StoredEmbedding = {
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
    yield {
      subject: subjects.embedding(header.tenant, header.stream, contentId),
      data: StoredEmbedding.encode(stored).finish(),
      id: contentId,
    };
  }
}

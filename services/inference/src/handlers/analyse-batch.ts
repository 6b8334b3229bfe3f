import { encodeHalf, type OpenBatch, stamp } from "@millrace/envelope";
import {
  enrichedFlags,
  type Handler,
  noPace,
  routeOf,
  type StreamRegistry,
  subjects,
} from "@millrace/messaging";
import { type Embeddings, Lane, SentimentLabel, type Sentiments } from "@millrace/proto/batch";
import { rowTexts } from "../analyse/row-texts.js";
import type { ModelPool } from "../model/model-pool.js";

export interface AnalyseBatchParts {
  pool: ModelPool;
  registry: Pick<StreamRegistry, "findFor">;
  version: string;
  now(): number;
}

const labels = {
  negative: SentimentLabel.SENTIMENT_LABEL_NEGATIVE,
  neutral: SentimentLabel.SENTIMENT_LABEL_NEUTRAL,
  positive: SentimentLabel.SENTIMENT_LABEL_POSITIVE,
} as const;

/** Clean batch in, the same batch with embeddings and sentiment out. */
export const analyseBatch =
  ({ pool, registry, version, now }: AnalyseBatchParts): Handler =>
  async (clean, signal, { goesOn } = noPace) => {
    const startedMs = now();
    const { header } = clean;
    const stream = await registry.findFor(header);
    if (stream === undefined) return { dropped: "stream_deleted" };
    const wanted = stream.enrichments;
    const { rows, texts } = rowTexts(clean, wanted?.textField ?? "");
    const sentiment = wanted?.sentiment === true;
    const priority = header.lane === Lane.LANE_HIGH ? "high" : "bulk";
    const analysed = await pool.embed(texts, { kind: "passage", sentiment, priority, signal, goesOn });
    const { model, vectors } = analysed;
    const annotated: OpenBatch = {
      ...clean,
      annotations: {
        ...clean.annotations,
        embeddings: wanted?.embeddings === true ? embeddingsOf(clean, { model, rows, vectors }) : undefined,
        sentiments: sentiment ? sentimentsOf(model.name, rows, analysed.sentiment) : undefined,
      },
    };
    const decidedBy = `${model.name}@${model.sha256.slice(0, 16)}`;
    const batch = stamp(annotated, { stage: "inference", version, decidedBy, startedMs, endedMs: now() });
    const subject = subjects.enriched(enrichedFlags(stream.outputs), routeOf(header));
    return { batches: [{ subject, batch }] };
  };

interface Vectors {
  model: { name: string; dimensions: number };
  rows: readonly number[];
  vectors: Float32Array;
}

/** Vectors of the rows whose clients want one. */
function embeddingsOf(clean: OpenBatch, { model, rows, vectors }: Vectors): Embeddings {
  const unwanted = new Set(clean.columns.rowsWithoutEmbedding);
  const { dimensions } = model;
  const kept = rows.flatMap((row, at) => (unwanted.has(row) ? [] : [at]));
  const packed = new Float32Array(kept.length * dimensions);
  kept.forEach((at, to) =>
    packed.set(vectors.subarray(at * dimensions, (at + 1) * dimensions), to * dimensions),
  );
  return {
    model: model.name,
    dimensions,
    rows: kept.map((at) => rows[at] as number),
    vectors: encodeHalf(packed),
  };
}

function sentimentsOf(
  model: string,
  rows: number[],
  judged: readonly { label: keyof typeof labels; score: number }[],
): Sentiments {
  return {
    model,
    rows,
    scores: judged.map(({ score }) => score),
    labels: judged.map(({ label }) => labels[label]),
  };
}

import { encodeHalf, type OpenBatch, selectRows, stamp } from "@millrace/envelope";
import {
  enrichedFlags,
  type Handler,
  noPace,
  routeOf,
  type StreamRegistry,
  subjects,
} from "@millrace/messaging";
import { type Embeddings, Lane, SentimentLabel, type Sentiments } from "@millrace/proto/batch";
import { lookAtImages } from "../analyse/look-at-images.js";
import { rowTexts } from "../analyse/row-texts.js";
import type { ImagePool } from "../image/image-pool.js";
import type { ModelPool } from "../model/model-pool.js";

export interface AnalyseBatchParts {
  pool: ModelPool;
  images: ImagePool;
  registry: Pick<StreamRegistry, "findFor">;
  version: string;
  now(): number;
}

const labels = {
  negative: SentimentLabel.SENTIMENT_LABEL_NEGATIVE,
  neutral: SentimentLabel.SENTIMENT_LABEL_NEUTRAL,
  positive: SentimentLabel.SENTIMENT_LABEL_POSITIVE,
} as const;

/** Clean batch in, the same batch with embeddings and sentiment, objects and scenes out. */
export const analyseBatch =
  ({ pool, images, registry, version, now }: AnalyseBatchParts): Handler =>
  async (clean, signal, { goesOn } = noPace) => {
    const startedMs = now();
    const { header } = clean;
    const stream = await registry.findFor(header);
    if (stream === undefined) return { dropped: "stream_deleted" };
    const wanted = stream.enrichments;
    const { rows, texts } = rowTexts(clean, wanted?.textField ?? "");
    const sentiment = wanted?.sentiment === true;
    const priority = header.lane === Lane.LANE_HIGH ? "high" : "bulk";
    const [analysed, looked] = await Promise.all([
      pool.embed(texts, { kind: "passage", sentiment, priority, signal, goesOn }),
      lookAtImages(clean, images, { enrichments: wanted, signal, goesOn }),
    ]);
    const { model, vectors } = analysed;
    const annotated: OpenBatch = {
      ...clean,
      annotations: {
        ...clean.annotations,
        embeddings: wanted?.embeddings === true ? embeddingsOf(clean, { model, rows, vectors }) : undefined,
        sentiments: sentiment ? sentimentsOf(model.name, rows, analysed.sentiment) : undefined,
        objects: looked.objects,
        scenes: looked.scenes,
      },
    };
    // What looked at nothing decided nothing.
    const models = [...(rows.length > 0 || looked.models.length === 0 ? [model] : []), ...looked.models];
    const decidedBy = models.map(({ name, sha256 }) => `${name}@${sha256.slice(0, 16)}`).join(" ");
    const whole = stamp(annotated, { stage: "inference", version, decidedBy, startedMs, endedMs: now() });
    const subject = subjects.enriched(enrichedFlags(stream.outputs), routeOf(header));
    const batches = without(whole, looked.failures).map((batch) => ({ subject, batch }));
    return { batches, failures: looked.failures };
  };

/** The runs of rows between those that failed. */
function without(whole: OpenBatch, failures: readonly { row: number }[]): OpenBatch[] {
  if (failures.length === 0) return [whole];
  const failed = [...failures.map(({ row }) => row), whole.header.count];
  return failed.flatMap((to, at) => {
    const from = at === 0 ? 0 : (failed[at - 1] as number) + 1;
    return from < to ? [selectRows(whole, from, to, { stage: "inference", index: from })] : [];
  });
}

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

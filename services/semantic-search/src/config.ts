import { baseConfig, readerConfig } from "@millrace/runtime";
import { z } from "zod";

export const semanticSearchConfig = z.strictObject({
  ...baseConfig,
  ...readerConfig,
  /** The model whose vectors are indexed; others are left alone, since they mean something else. */
  model: z.string(),
  /** Numbers of a vector, as the model makes them. */
  dimensions: z.int().min(2).max(4096),
  segments: z
    .strictObject({
      /** The clean side, where bodies are read. */
      cleanDir: z.string().default(".millrace/data/clean"),
    })
    .prefault({}),
  /** Batches in hand at once; each becomes a message of the bus a content. */
  inFlightMax: z.int().min(1).max(256).default(24),
  /** … of one stream that does not say its own `parallelism`. */
  parallelism: z.int().min(1).max(256).default(16),
  /** Vectors held at most; 2.6 KB of memory each at 384 dimensions. */
  vectorsMax: z.int().min(1_000).max(5_000_000).default(1_000_000),
});

export type SemanticSearchConfig = z.infer<typeof semanticSearchConfig>;

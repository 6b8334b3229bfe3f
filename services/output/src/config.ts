import { baseConfig, egressConfig, readerConfig } from "@millrace/runtime";
import { z } from "zod";

export const outputConfig = z.strictObject({
  ...baseConfig,
  ...egressConfig,
  ...readerConfig,
  segments: z
    .strictObject({
      /** The clean side, where bodies are read. */
      cleanDir: z.string().default(".millrace/data/clean"),
      /** Bytes of clean segments that are mapped at most, beyond which bodies are copied; 0 copies each. */
      mmapBytesMax: z
        .int()
        .min(0)
        .default(1024 * 1024 * 1024),
    })
    .prefault({}),
  storage: z
    .strictObject({
      /** Below it, `<tenant>/<stream>/part-….jsonl`. */
      root: z.string().default(".millrace/data/output"),
      /**
       * Longest time from a staged batch to its commit: what a group shares is one sync and one ledger entry.
       */
      commitIntervalMs: z.int().min(1).max(1_000).default(50),
      /** … or as soon as this much is staged. */
      commitBytes: z
        .int()
        .min(1024)
        .default(64 * 1024 * 1024),
    })
    .prefault({}),
  /** Batches in hand at once, a lane of a sink. */
  inFlightMax: z.int().min(1).max(256).default(96),
  /** … of one stream that does not say its own `parallelism`. */
  parallelism: z.int().min(1).max(256).default(64),
});

export type OutputConfig = z.infer<typeof outputConfig>;

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
  triggers: z
    .strictObject({
      /**
       * How long after its first try, and after each later one, an event is tried again whose trigger failed;
       * one try more than there are is the last. Shortened at random by up to a quarter.
       */
      retryDelaysMs: z
        .array(z.int().min(1).max(86_400_000))
        .max(16)
        .default([5_000, 60_000, 300_000, 1_800_000, 7_200_000, 21_600_000, 54_000_000]),
    })
    .prefault({}),
  /** Batches in hand at once, a lane of a sink. */
  inFlightMax: z.int().min(1).max(256).default(96),
  /** … of one stream that does not say its own `parallelism`. */
  parallelism: z.int().min(1).max(256).default(64),
});

export type OutputConfig = z.infer<typeof outputConfig>;

import { limits } from "@millrace/envelope";
import { baseConfig, egressConfig, nodeConfig } from "@millrace/runtime";
import { z } from "zod";

export const ingestionConfig = z.strictObject({
  ...baseConfig,
  ...egressConfig,
  ...nodeConfig,
  /** Where buffer is reached. */
  bufferAddress: z.string().default("127.0.0.1:7073"),
  segments: z
    .strictObject({
      /** The raw side's directory, where buffer runs on the same node: bulk bodies are then written once. */
      rawDir: z.string().optional(),
      /** The clean side's, for bodies of exempt streams. */
      cleanDir: z.string().optional(),
    })
    .prefault({}),
  files: z
    .strictObject({
      /** Directories below which files may be read. None: no file source is allowed. */
      roots: z.array(z.string()).default([]),
      /** Body of a bulk frame at most; 1 MiB where buffer is on another node and bodies travel to it. */
      frameBytesMax: z
        .int()
        .min(1024 * 1024)
        .max(limits.bulkBytesMax)
        .default(limits.bulkBytesMax),
      /** Files of a source that are read at once; each holds blocks of a frame and 768 KiB. */
      filesInFlightMax: z.int().min(1).max(64).default(4),
      /** Appends of one file on their way at once; all sources: 80 MiB, 32 of whole files, 2 for each. */
      appendsInFlightMax: z.int().min(1).max(64).default(4),
      /** How long a file must rest until a last line without its line feed counts as complete. */
      settleMs: z.int().min(100).default(5_000),
      /** Files with more than one name may lie outside of the roots as well. */
      hardLinksAllowed: z.boolean().default(false),
    })
    .prefault({}),
  kafka: z
    .strictObject({
      /** Body of a bulk frame at most; 1 MiB where buffer is on another node and bodies travel to it. */
      frameBytesMax: z
        .int()
        .min(1024 * 1024)
        .max(limits.bulkBytesMax)
        .default(4 * 1024 * 1024),
      /** Appends of one partition on their way at once. */
      appendsInFlightMax: z.int().min(1).max(64).default(4),
      /** What a source has read and is not durable: beyond it, it pauses. A fetch of 4 MiB more may come. */
      bytesInFlightMax: z
        .int()
        .min(1024 * 1024)
        .default(32 * 1024 * 1024),
      /** A replica that is silent so long loses its partitions to the others. */
      sessionTimeoutMs: z.int().min(6_000).max(300_000).default(15_000),
      /** How often offsets are committed. */
      commitIntervalMs: z.int().min(100).max(60_000).default(1_000),
    })
    .prefault({}),
});

export type IngestionConfig = z.infer<typeof ingestionConfig>;

import { baseConfig, nodeConfig, rangeListener } from "@millrace/runtime";
import { z } from "zod";

export const bufferConfig = z.strictObject({
  ...baseConfig,
  ...nodeConfig,
  /** The internal API: append, last position, reject. */
  grpc: z
    .strictObject({
      /** The address that is listened on. */
      host: z.string().default("127.0.0.1"),
      /** 0 takes any free port. */
      port: z.int().min(0).max(65535).default(7073),
    })
    .prefault({}),
  /**
   * Where bodies of the raw side are served to privacy on other nodes; absent, they are not. It carries what
   * the filter has not seen: only privacy may reach this port.
   */
  rawRead: rangeListener.optional(),
  /**
   * Where bodies of the clean side are served to the stages behind privacy on other nodes; absent, they are
   * not. What exempt streams hold is among them: only these stages may reach this port.
   */
  cleanRead: rangeListener.optional(),
  segments: z
    .strictObject({
      /** Directory of the raw side: only ingestion, buffer and privacy may reach it. */
      rawDir: z.string().default(".millrace/data/raw"),
      /** Directory of the clean side, where bodies of exempt streams go at once. */
      cleanDir: z.string().default(".millrace/data/clean"),
      /** Of a segment file. A change holds for new ones. */
      segmentBytes: z
        .int()
        .min(4 * 1024 * 1024)
        .default(64 * 1024 * 1024),
      /** How long a writer on this node keeps a segment without a commit or a sign of life. */
      leaseMs: z.int().min(1_000).max(60_000).default(10_000),
      /**
       * Live segments of a side at most, those of all writers of the node together; full, appends are refused
       * until the next stages catch up.
       */
      liveBytesMax: z
        .int()
        .min(8 * 1024 * 1024)
        .default(1024 * 1024 * 1024),
    })
    .prefault({}),
});

export type BufferConfig = z.infer<typeof bufferConfig>;

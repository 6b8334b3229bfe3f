import { availableParallelism } from "node:os";
import { baseConfig, rangeListener, readerConfig } from "@millrace/runtime";
import { z } from "zod";

export const privacyConfig = z.strictObject({
  ...baseConfig,
  ...readerConfig,
  /**
   * File with the 32-byte key, as 64 hex digits, of pseudonyms; all replicas share it, and it never changes.
   */
  pseudonymKeyFile: z.string(),
  /**
   * Where the bodies that it wrote are served to the stages behind it on other nodes; absent, they are not,
   * since buffer serves the whole directory. With it a stop waits until they are settled.
   */
  cleanRead: rangeListener.optional(),
  segments: z
    .strictObject({
      /** Where buffer's raw segments lie; read only. */
      rawDir: z.string().default(".millrace/data/raw"),
      /** Bytes of raw segments that are mapped at most, beyond which bodies are copied; 0 copies each. */
      mmapBytesMax: z
        .int()
        .min(0)
        .default(1024 * 1024 * 1024),
      /** Where redacted bodies are written for the later stages. */
      cleanDir: z.string().default(".millrace/data/clean"),
      /** Of a segment file. */
      segmentBytes: z
        .int()
        .min(4 * 1024 * 1024)
        .default(64 * 1024 * 1024),
      /** Segments at most that hold redacted bodies of somebody; full, it pulls no more. */
      liveBytesMax: z
        .int()
        .min(8 * 1024 * 1024)
        .default(1024 * 1024 * 1024),
    })
    .prefault({}),
  images: z
    .strictObject({
      /** The manifest that says what the face model is and what its file's checksum is. */
      manifestPath: z.string().default("models/manifest.json"),
      /** Where the models' folders lie. */
      directory: z.string().default(".millrace/models"),
      /** The model that finds faces, by its name in the manifest; images wait where it cannot be loaded. */
      faces: z.string().default("centerface"),
      /** Processes that clean images, at most; each takes 200 MB, and 300 MB more for the largest image. */
      processesMax: z.int().min(1).max(64).default(1),
    })
    .prefault({}),
  /** Batches in hand at once, a lane. Each holds a redacted body, up to 15 MiB until it is synced. */
  inFlightMax: z.int().min(1).max(256).default(16),
  /** … of one stream that does not say its own `parallelism`. */
  parallelism: z.int().min(1).max(256).default(8),
  filter: z
    .strictObject({
      /** Threads that redact bulk bodies for a stream that names no number; 0: the service's own thread. */
      threads: z.int().min(0).max(256).default(0),
      /** Threads at most, of all streams; each takes about 15 MB. */
      threadsMax: z.int().min(1).max(256).default(availableParallelism()),
    })
    .prefault({}),
});

export type PrivacyConfig = z.infer<typeof privacyConfig>;

import { baseConfig } from "@millrace/runtime";
import { z } from "zod";

export const inferenceConfig = z.strictObject({
  ...baseConfig,
  node: z.string().regex(/^[a-z0-9][a-z0-9.-]{0,62}$/).default("local"),
  models: z.strictObject({
    /** The manifest that says what each model is and what its files' checksums are. */
    manifestPath: z.string(),
    /** Where the models' folders lie. */
    directory: z.string(),
    /** The text model, by its name in the manifest. */
    text: z.string(),
    /** Threads with a session each; one per core, since a run uses one. */
    workers: z.int().min(1).max(64).default(2),
    /** Texts waiting, each for searches and for batches; more are refused. */
    queuedTextsMax: z.int().min(1).default(4096),
  }),
  segments: z
    .strictObject({
      cleanDir: z.string().default(".millrace/data/clean"),
      segmentBytes: z.int().min(4 * 1024 * 1024).default(16 * 1024 * 1024),
      liveBytesMax: z.int().min(8 * 1024 * 1024).default(512 * 1024 * 1024),
    })
    .prefault({}),
  /** Batches in hand at once, a lane: enough that no worker waits for the next one. */
  inFlightMax: z.int().min(1).max(32).default(4),
});

export type InferenceConfig = z.infer<typeof inferenceConfig>;

import { baseConfig, rangeListener, readerConfig } from "@millrace/runtime";
import { z } from "zod";

export const inferenceConfig = z.strictObject({
  ...baseConfig,
  ...readerConfig,
  models: z.strictObject({
    /** The manifest that says what each model is and what its files' checksums are. */
    manifestPath: z.string(),
    /** Where the models' folders lie. */
    directory: z.string(),
    /** The text model, by its name in the manifest. */
    text: z.string(),
    /**
     * The model that finds objects in images, by its name in the manifest. It is loaded when the first image
     * asks for it; where that can't be done, the images that ask wait. One that is opt-in has to be there at
     * the start.
     */
    objects: z.string().default("ssd-mobilenetv2-oidv4"),
    /** … that says what they show as a whole. */
    scene: z.string().default("efficientnet-lite0"),
    /** Threads with a session each; one per core, since a run uses one. */
    workers: z.int().min(1).max(64).default(2),
    /** Texts waiting, each for searches and for batches; more are refused. */
    queuedTextsMax: z.int().min(1).default(4096),
  }),
  /**
   * Where the bodies that it wrote are served to the stages behind it on other nodes; absent, they are not,
   * since buffer serves the whole directory. With it a stop waits until they are settled.
   */
  cleanRead: rangeListener.optional(),
  segments: z
    .strictObject({
      /** The clean side: bodies are read there, and written for the later stages unless `ownDir` is set. */
      cleanDir: z.string().default(".millrace/data/clean"),
      /**
       * Where its own bodies are written, so that it may be kept from writing to `cleanDir`. All others find
       * them as the folder `inference` of their `cleanDir`.
       */
      ownDir: z.string().optional(),
      /** Of a segment file. */
      segmentBytes: z
        .int()
        .min(4 * 1024 * 1024)
        .default(16 * 1024 * 1024),
      /** Segments at most that hold bodies of somebody; full, it pulls no more. */
      liveBytesMax: z
        .int()
        .min(8 * 1024 * 1024)
        .default(512 * 1024 * 1024),
    })
    .prefault({}),
  /**
   * Of the whole process. Where services share cores, 5 lets those that move messages go before the model.
   */
  niceness: z.int().min(0).max(19).default(0),
  inFlight: z
    .strictObject({
      /**
       * Batches of the high lane in hand at once. They are small: a few would leave the model idle between
       * them.
       */
      highMax: z.int().min(1).max(32).default(32),
      /**
       * Batches of the batch lane, up to a second of work each: enough that no worker waits for the next one.
       */
      batchMax: z.int().min(1).max(32).default(8),
      /** … of one stream that does not say its own `parallelism`. */
      parallelism: z.int().min(1).max(32).default(4),
    })
    .prefault({}),
});

export type InferenceConfig = z.infer<typeof inferenceConfig>;

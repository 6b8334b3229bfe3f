import { type FileHandle, open, readdir, rename, unlink } from "node:fs/promises";
import { CodedError } from "@millrace/errors";

/*
 * What durable files ask of a file system, and no more: narrow, so that tests can break each call. Whoever
 * needs another call adds it to an interface of its own.
 */
export interface DirectoryCalls {
  /** Names, sorted; none where there is no such directory. */
  readdir(path: string): Promise<string[]>;
  /** Atomic within one file system, lasting once the directories are synced. */
  rename(from: string, to: string): Promise<void>;
  /** A file that is not there counts as removed. */
  unlink(path: string): Promise<void>;
  fsyncDir(path: string): Promise<void>;
}

/** `create` refuses a file that is there; `existing` refuses one that is not. Both read and write. */
export type OpenMode = "create" | "existing";

export interface FileCalls {
  /** Bytes written; may be fewer than given. */
  writev(buffers: readonly Uint8Array[], position: number): Promise<number>;
  /** Bytes read; fewer only at the end of the file. */
  read(buffer: Uint8Array, position: number): Promise<number>;
  size(): Promise<number>;
  fdatasync(): Promise<void>;
  close(): Promise<void>;
}

export const directoryCalls: DirectoryCalls = {
  readdir: async (path) => {
    try {
      return (await readdir(path)).sort();
    } catch (error) {
      if (isSystemError(error, "ENOENT")) return [];
      throw error;
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
  fsyncDir: async (path) => {
    const handle = await open(path, "r");
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  },
};

/** `permissions`: of a file that is created; those of the system's default when absent. */
export function openFile(path: string, mode: OpenMode, permissions?: number): Promise<FileHandle> {
  return open(path, mode === "create" ? "wx+" : "r+", permissions);
}

export function fileCalls(handle: FileHandle): FileCalls {
  return {
    writev: async (buffers, position) => (await handle.writev(buffers, position)).bytesWritten,
    read: async (buffer, position) => (await handle.read(buffer, 0, buffer.byteLength, position)).bytesRead,
    size: async () => (await handle.stat()).size,
    fdatasync: () => handle.datasync(),
    close: () => handle.close(),
  };
}

export function isSystemError(error: unknown, code: string): boolean {
  return (error as { code?: unknown } | null)?.code === code;
}

/**
 * Writes all of the parts back to back; the system may take fewer bytes at once than it was given. Errors:
 * those of the disk; what was written stays.
 */
export async function writeAll(
  file: Pick<FileCalls, "writev">,
  parts: readonly Uint8Array[],
  position: number,
): Promise<void> {
  let left = parts.filter((part) => part.byteLength > 0);
  let at = position;
  while (left.length > 0) {
    const written = await file.writev(left, at);
    if (written <= 0) throw new CodedError("internal", "write: the disk took no byte and gave no error");
    at += written;
    left = after(left, written);
  }
}

function after(parts: readonly Uint8Array[], bytes: number): Uint8Array[] {
  const rest: Uint8Array[] = [];
  let skip = bytes;
  for (const part of parts) {
    if (skip < part.byteLength) rest.push(part.subarray(skip));
    skip = Math.max(0, skip - part.byteLength);
  }
  return rest;
}

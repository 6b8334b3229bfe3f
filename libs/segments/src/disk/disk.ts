import { type FileHandle, mkdir, open, readdir, rename, unlink } from "node:fs/promises";
import { native } from "@millrace/files";

/** What segments ask of a file system, and no more: narrow, so that tests can break each call. */
export interface Disk {
  /** `create` refuses a file that is there; `existing` refuses one that is not. Both read and write. */
  open(path: string, mode: "create" | "existing"): Promise<DiskFile>;
  /** Names; none where there is no such directory. */
  readdir(path: string): Promise<string[]>;
  makeDirectory(path: string): Promise<void>;
  /** Atomic within one file system, lasting once the directory is synced. */
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
  /**
   * Makes the file at least that long, with all its blocks: a later write finds room, or has failed here. A
   * file of holes would fail in the middle of a write, and end a process that reads it through a map.
   */
  allocate(length: number): Promise<void>;
  fdatasync(): Promise<void>;
  close(): Promise<void>;
}

export const nodeDisk: Disk = {
  open: async (path, mode) => fileOf(await open(path, mode === "create" ? "wx+" : "r+")),
  readdir: async (path) => {
    try {
      return await readdir(path);
    } catch (error) {
      if (isSystemError(error, "ENOENT")) return [];
      throw error;
    }
  },
  makeDirectory: async (path) => void (await mkdir(path, { recursive: true })),
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

function fileOf(handle: FileHandle): DiskFile {
  return {
    writev: async (buffers, position) => (await handle.writev(buffers, position)).bytesWritten,
    read: async (buffer, position) => (await handle.read(buffer, 0, buffer.byteLength, position)).bytesRead,
    size: async () => (await handle.stat()).size,
    allocate: (length) => allocate(handle, length),
    fdatasync: () => handle.datasync(),
    close: () => handle.close(),
  };
}

/** 1 MiB at a time: what a disk writes well. */
const zeroBytes = 1024 * 1024;

async function allocate(handle: FileHandle, length: number): Promise<void> {
  const { size, blocks } = await handle.stat();
  // Blocks of `stat` have 512 bytes everywhere.
  if (size >= length && blocks * 512 >= length) return;
  const calls = native();
  if (typeof calls !== "string" && calls.allocate(handle.fd, length)) return;
  const zeros = Buffer.alloc(zeroBytes);
  for (let at = size; at < length; ) {
    const { bytesWritten } = await handle.write(zeros, 0, Math.min(zeroBytes, length - at), at);
    at += bytesWritten;
  }
}

export function isSystemError(error: unknown, code: string): boolean {
  return (error as { code?: unknown } | null)?.code === code;
}

/** Writes all of the parts back to back; the system may take fewer bytes at once than it was given. */
export async function writeAll(file: DiskFile, parts: readonly Uint8Array[], offset: number): Promise<void> {
  let left = parts.filter((part) => part.length > 0);
  let at = offset;
  while (left.length > 0) {
    const written = await file.writev(left, at);
    if (written <= 0) throw new Error("the disk took no byte and gave no error");
    at += written;
    left = after(left, written);
  }
}

function after(parts: readonly Uint8Array[], bytes: number): Uint8Array[] {
  const rest: Uint8Array[] = [];
  let skip = bytes;
  for (const part of parts) {
    if (skip < part.length) rest.push(part.subarray(skip));
    skip = Math.max(0, skip - part.length);
  }
  return rest;
}

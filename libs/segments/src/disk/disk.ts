import { type FileHandle, mkdir } from "node:fs/promises";
import {
  type DirectoryCalls,
  directoryCalls,
  type FileCalls,
  fileCalls,
  native,
  openFile,
  type OpenMode,
} from "@millrace/files";

/** What segments ask of a file system. */
export interface Disk extends DirectoryCalls {
  open(path: string, mode: OpenMode): Promise<DiskFile>;
  makeDirectory(path: string): Promise<void>;
}

export interface DiskFile extends FileCalls {
  /**
   * Makes the file at least that long, with all its blocks: a later write finds room, or has failed here. A
   * file of holes would fail in the middle of a write, and end a process that reads it through a map.
   */
  allocate(length: number): Promise<void>;
}

export const nodeDisk: Disk = {
  ...directoryCalls,
  open: async (path, mode) => {
    const handle = await openFile(path, mode);
    return { ...fileCalls(handle), allocate: (length) => allocate(handle, length) };
  },
  makeDirectory: async (path) => void (await mkdir(path, { recursive: true })),
};

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

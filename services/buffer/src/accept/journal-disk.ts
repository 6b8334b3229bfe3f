import { mkdir } from "node:fs/promises";
import { type FileCalls, fileCalls, openFile, type OpenMode } from "@millrace/files";

/** What the accept journal asks of a file system: narrow, so that tests can break each call. */
export interface JournalDisk {
  open(path: string, mode: OpenMode): Promise<JournalFile>;
  makeDirectory(path: string): Promise<void>;
}

export interface JournalFile extends Pick<FileCalls, "writev" | "read" | "size" | "close"> {
  truncate(length: number): Promise<void>;
}

export const nodeDisk: JournalDisk = {
  open: async (path, mode) => {
    const handle = await openFile(path, mode);
    return { ...fileCalls(handle), truncate: (length) => handle.truncate(length) };
  },
  makeDirectory: async (path) => void (await mkdir(path, { recursive: true })),
};

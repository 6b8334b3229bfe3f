import { type FileHandle, open } from "node:fs/promises";

/** What the log asks of a disk; a FileHandle is one. Tests put a faulty one in its place. */
export type SegmentFile = Pick<
  FileHandle,
  "writev" | "write" | "read" | "datasync" | "truncate" | "stat" | "close"
>;

export type OpenFile = (path: string, flags: "r+" | "wx+") => Promise<SegmentFile>;

export const openFile: OpenFile = (path, flags) => open(path, flags);

/** Writes all of the parts back to back; the system may take fewer bytes at once than it was given. */
export async function writeAll(
  file: SegmentFile,
  parts: readonly Uint8Array[],
  offset: number,
): Promise<void> {
  let left = parts.filter((part) => part.length > 0);
  let at = offset;
  while (left.length > 0) {
    const { bytesWritten } = await file.writev(left, at);
    at += bytesWritten;
    left = after(left, bytesWritten);
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

export async function syncDirectory(dir: string): Promise<void> {
  const handle = await open(dir, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

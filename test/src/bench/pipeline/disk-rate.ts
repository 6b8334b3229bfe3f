import { open, rm, statfs } from "node:fs/promises";
import { join } from "node:path";
import { CodedError } from "@millrace/errors";

const chunkBytes = 16 * 1024 * 1024;
const chunks = 64;

/** MB/s (10^6 bytes) of this disk, synced each 16 MiB: what a store of such files cannot pass. */
export interface DiskRates {
  newFiles: number;
  /** Written over, so that no block has to be found and no size to be changed. */
  recycledFiles: number;
}

export async function diskRates(dir: string, signal: AbortSignal): Promise<DiskRates> {
  const path = join(dir, "disk-rate");
  const chunk = Buffer.alloc(chunkBytes, "each byte is written once and never read ");
  const file = await open(path, "wx");
  const write = async (): Promise<number> => {
    const begun = performance.now();
    for (let at = 0; at < chunks; at++) {
      signal.throwIfAborted();
      await file.write(chunk, 0, chunkBytes, at * chunkBytes);
      await file.datasync();
    }
    return (chunks * chunkBytes) / 1e3 / (performance.now() - begun);
  };
  try {
    return { newFiles: await write(), recycledFiles: await write() };
  } finally {
    await file.close();
    await rm(path, { force: true });
  }
}

/** Refuses before anything is written. */
export async function requireSpace(dir: string, bytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(dir);
  const free = bavail * bsize;
  if (free >= bytes) return;
  const gb = (count: number): string => (count / 1e9).toFixed(1);
  throw new CodedError(
    "resource_exhausted",
    `bench: ${dir} has ${gb(free)} GB free and needs ${gb(bytes)} GB`,
    {
      field: "--dir",
      remedy: "Name a directory on a larger disk with --dir, or a smaller input with --gb.",
    },
  );
}

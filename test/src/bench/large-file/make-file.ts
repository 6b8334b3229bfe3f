import { open } from "node:fs/promises";
import { crc32 } from "@millrace/files";
import { CodedError } from "@millrace/errors";
import { seeded } from "../seeded.js";

/** What is checked at once: the chunks that the file is gone through in. */
export const unitBytes = 64_000_000;
const blockBytes = 8_000_000;
const pageBytes = 4_096;

export interface MadeFile {
  bytes: number;
  /** The checksum of each unit, in order. */
  sums: number[];
}

export interface MakeOptions {
  path: string;
  bytes: number;
  seed: number;
  signal: AbortSignal;
}

/**
 * Drawn once, with a number in each page that is its own, and synced: its writing back is over before
 * anything is measured. A whole number of units.
 */
export async function makeFile({ path, bytes, seed, signal }: MakeOptions): Promise<MadeFile> {
  const random = seeded(seed);
  const block = Buffer.alloc(blockBytes);
  for (let at = 0; at < blockBytes; at += 4) block.writeUInt32LE(random(), at);
  const units = Math.ceil(bytes / unitBytes);
  const sums: number[] = [];
  const file = await open(path, "wx");
  try {
    for (let unit = 0; unit < units; unit++) {
      signal.throwIfAborted();
      let sum = 0;
      for (let at = unit * unitBytes; at < (unit + 1) * unitBytes; at += blockBytes) {
        for (let page = 0; page < blockBytes; page += pageBytes) block.writeDoubleLE(at + page, page);
        sum = crc32(block, sum);
        await file.write(block, 0, blockBytes, at);
      }
      sums.push(sum);
    }
    await file.sync();
  } finally {
    await file.close();
  }
  return { bytes: units * unitBytes, sums };
}

/** Throws unless each unit was seen, in order, as it was written. */
export function checkSums(written: readonly number[], seen: readonly number[]): void {
  const wrong = written.findIndex((sum, at) => sum !== seen[at]);
  if (wrong < 0 && written.length === seen.length) return;
  const what =
    wrong < 0 ? `${seen.length} chunks came, not ${written.length}` : `chunk ${wrong} is another one`;
  throw new CodedError("data_loss", `bench largefile: ${what}`);
}

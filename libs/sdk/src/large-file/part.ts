import { invalidArgument } from "../rpc/millrace-error.js";
import { checkCount, checkKeys } from "../units/checks.js";
import { parseSize, type Size } from "../units/size.js";

export interface ChunkOptions {
  /** Bytes a chunk; the last one may be shorter. Default `"64MB"`, or `mmapSize` where that is less. */
  chunkSize?: Size;
  /** Where in the file to begin. Default 0. */
  offset?: number;
  /** How many bytes to go through. Default: to the end of the file. */
  length?: number;
}

/** What of a file is gone through. */
export interface Part {
  from: number;
  to: number;
  chunkBytes: number;
}

const chunkBytesDefault = 64_000_000;
const keys = ["chunkSize", "offset", "length"] as const;

export function toPart(options: ChunkOptions, size: number, windowBytes: number): Part {
  checkKeys(options, keys, "");
  const { chunkSize = Math.min(chunkBytesDefault, windowBytes), offset = 0 } = options;
  const chunkBytes = parseSize(chunkSize, "chunkSize");
  if (chunkBytes > windowBytes) {
    const remedy = `Give at most ${windowBytes} bytes: the stream's mmapSize, and 2 GiB.`;
    throw invalidArgument("chunkSize", `is ${JSON.stringify(chunkSize)}`, remedy);
  }
  checkCount(offset, "offset", [0, size]);
  const { length = size - offset } = options;
  checkCount(length, "length", [0, size - offset]);
  return { from: offset, to: offset + length, chunkBytes };
}

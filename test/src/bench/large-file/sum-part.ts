/** A thread of sum-file.ts: opens the file, says so, and goes through its part when it is told to. */
import { once } from "node:events";
import { parentPort, workerData } from "node:worker_threads";
import { crc32 } from "@millrace/files";
import { present } from "@millrace/errors";
import { mmapFile, type MmapOptions } from "@millrace/sdk";

export interface PartRequest {
  path: string;
  options: MmapOptions;
  /** What is checked at once, and the part: a whole number of them. */
  chunkBytes: number;
  offset: number;
  length: number;
}

const port = present(parentPort, "the thread that asks");
const { path, options, chunkBytes, offset, length } = workerData as PartRequest;
using file = mmapFile(path, options);
// The checksum and its memory are warm before anything is measured.
crc32(Buffer.alloc(1_000_000));
port.postMessage(file.dataPath);
await once(port, "message");
const sums: number[] = [];
for await (const { bytes } of file.iterChunks({ chunkSize: chunkBytes, offset, length }))
  sums.push(crc32(bytes));
port.postMessage(sums);

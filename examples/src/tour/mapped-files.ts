import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { createStreamProcessor } from "@millrace/sdk";
import { eventually } from "./eventually.js";
import type { Places } from "./places.js";

const fileBytes = 96 * 1024 * 1024;

/** A large file in chunks of its mapping: nothing of it is loaded. */
export async function mappedFiles({ client, directory }: Places): Promise<void> {
  await using mapped = await createStreamProcessor("mmap-stream", client, {
    memoryMapping: true,
    mmapSize: "1GB",
    zeroCopy: true,
  });
  const large = join(directory, "large");
  await mkdir(large);
  const sums: number[] = [];
  const chunks: number[] = [];

  mapped.onLargeFile(
    async ({ path }) => {
      using file = mapped.mmapFile(path);
      let sum = 0;
      for await (const { bytes } of file.iterChunks({ chunkSize: "64MB" })) {
        sum = crc32(bytes, sum);
        chunks.push(bytes.length);
      }
      sums.push(sum);
    },
    { path: large },
  );

  const content = Buffer.alloc(fileBytes, "0123456789abcdef");
  await writeFile(join(large, "large.bin"), content);
  await eventually(() => sums.length > 0);
  assert.deepEqual(sums, [crc32(content)]);
  assert.deepEqual(chunks, [64_000_000, fileBytes - 64_000_000]);
  assert.match((await mapped.status()).files.dataPath, /mapped|read/);
}

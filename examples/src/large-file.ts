import { mkdtempSync, rmSync } from "node:fs";
import { open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { connect, createStreamProcessor } from "@millrace/sdk";

/** Bytes of the file that is made, where no directory is given. */
const madeBytes = 256_000_000;

// npm run examples -- large-file [directory] [address]: checks each file of 64 MB and more in a directory.
const [given, address = "127.0.0.1:7070"] = process.argv.slice(2);
const dir = given ?? mkdtempSync(join(tmpdir(), "millrace-large-file-"));
await using client = connect({ address });
await using large = await createStreamProcessor("large-files", client, {
  memoryMapping: true,
  mmapSize: "1GB",
  zeroCopy: true,
});

const { promise: seen, resolve: done } = deferred();
await using handler = large.onLargeFile(
  async (file) => {
    const begun = performance.now();
    let sum = 0;
    // Nothing is loaded: each chunk is a view of the mapped file, until the next one is asked for.
    for await (const { bytes } of file.iterChunks({ chunkSize: "64MB" })) sum = crc32(bytes, sum);
    const seconds = (performance.now() - begun) / 1_000;
    const rate = (file.size / 1e9 / seconds).toFixed(1);
    process.stdout.write(`${file.path}: ${file.size} bytes, CRC-32 ${sum.toString(16)}, ${rate} GB/s\n`);
    process.stdout.write(`${file.dataPath}: ${file.reason}\n`);
    done();
  },
  { path: dir },
);
await handler.ready;

if (given === undefined) await makeFile(join(dir, "made.bin"));
await seen;
if (given === undefined) rmSync(dir, { recursive: true });

async function makeFile(path: string): Promise<void> {
  const block = Buffer.alloc(8_000_000);
  for (let at = 0; at < block.length; at += 4) block.writeUInt32LE(Math.imul(at, 0x9e3779b1) >>> 0, at);
  const file = await open(path, "wx");
  for (let at = 0; at < madeBytes; at += block.length) await file.write(block, 0, block.length, at);
  await file.close();
}

function deferred(): { promise: Promise<void>; resolve: () => void } {
  let resolve = (): void => undefined;
  const promise = new Promise<void>((fulfil) => (resolve = fulfil));
  return { promise, resolve };
}

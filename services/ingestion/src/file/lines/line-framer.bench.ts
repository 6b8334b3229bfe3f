import { mkdtemp, open, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createBlockPool } from "../block-pool.js";
import { type FileBytes, readFrames } from "../file-reader.js";
import { createLineFramer, defaultFrameLimits } from "./line-framer.js";

/**
 * MB/s of the framer alone (bytes in memory, in the cache after the first pass) and of file → frames through
 * the page cache, by line length. Run: node dist/file/line-framer.bench.js
 */
const blockBytes = 1 << 20;
const passBytes = 1 << 30;

function block(lineBytes: number): Buffer {
  const bytes = Buffer.alloc(blockBytes, "a");
  for (let at = lineBytes - 1; at < blockBytes; at += lineBytes) bytes[at] = 0x0a;
  return bytes;
}

function framerAlone(lineBytes: number): number {
  const bytes = block(lineBytes);
  const framer = createLineFramer(defaultFrameLimits, 0);
  const pass = (total: number): void => {
    for (let done = 0; done < total; done += blockBytes) {
      framer.push({ block: bytes, start: 0, end: blockBytes }, false);
    }
  };
  pass(passBytes / 8);
  return rate(passBytes, () => pass(passBytes));
}

async function throughFile(file: FileBytes, fileBytes: number): Promise<number> {
  const { bodyBytesMax: readBytes, messageBytesMax: headBytes } = defaultFrameLimits;
  const sizes = { headBytes, readBytes, smallReadBytes: readBytes, bytesMax: 16 * readBytes };
  const pool = createBlockPool(sizes).share();
  const signal = new AbortController().signal;
  return rate(fileBytes, async () => {
    const framer = createLineFramer(defaultFrameLimits, 0);
    const range = { to: fileBytes, flushTail: false };
    for await (const { release } of readFrames(file, framer, { pool, range, signal })) release();
  });
}

function rate(bytes: number, work: () => void): number;
function rate(bytes: number, work: () => Promise<void>): Promise<number>;
function rate(bytes: number, work: () => void | Promise<void>): number | Promise<number> {
  const startMs = performance.now();
  const megabytesPerSecond = (): number => Math.round(bytes / 1e3 / (performance.now() - startMs));
  const ended = work();
  return ended instanceof Promise ? ended.then(megabytesPerSecond) : megabytesPerSecond();
}

const directory = await mkdtemp(join(tmpdir(), "line-framer-bench-"));
try {
  const result: Record<string, { framer_mb_per_s: number; file_mb_per_s: number }> = {};
  for (const lineBytes of [64, 128, 256, 1024, 16384]) {
    const path = join(directory, `${lineBytes}.jsonl`);
    const fileBytes = 256 << 20;
    await writeFile(
      path,
      Array.from({ length: fileBytes / blockBytes }, () => block(lineBytes)),
    );
    const handle = await open(path);
    await throughFile(handle, fileBytes);
    result[lineBytes] = {
      framer_mb_per_s: framerAlone(lineBytes),
      file_mb_per_s: await throughFile(handle, fileBytes),
    };
    await handle.close();
    await rm(path);
  }
  process.stdout.write(`${JSON.stringify({ bench: "line-framer", by_line_bytes: result })}\n`);
} finally {
  await rm(directory, { recursive: true });
}

import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGunzip } from "node:zlib";
import { CodedError } from "@millrace/errors";
import type { FileBytes } from "../file-reader.js";

/**
 * A compressed file as what is in it: a position is an offset in the decoded bytes, which are read in order;
 * going back decodes from the start again. The whole file is decoded once before anything of it is taken:
 * only then its size is known, and that it is complete and sound.
 */
export interface GzipBytes extends FileBytes {
  close(): void;
}

const chunkBytes = 256 * 1024;
/** Text is seldom packed 100-fold; a bomb is, 1,000-fold. Below this size nobody is hurt. */
const ratioMax = 100;
const harmlessBytes = 64 * 1024 * 1024;

export const isGzip = (name: string): boolean => /\.gz$/i.test(name);

/** Bytes that a file of `stored` bytes decodes to. Errors: `data_loss` for one cut off, broken or a bomb. */
export async function decodedSize(file: FileBytes, stored: number, signal: AbortSignal): Promise<number> {
  const decoder = createGunzip({ chunkSize: chunkBytes });
  let size = 0;
  /** The pipeline tells of an abort in its place. */
  let bomb: CodedError | undefined;
  const boundary = Math.max(harmlessBytes, stored * ratioMax);
  const count = async (decoded: AsyncIterable<Buffer>): Promise<void> => {
    for await (const { length } of decoded) {
      size += length;
      if (size > boundary) {
        bomb = new CodedError("data_loss", `decodes to more than ${ratioMax} times its size`, {
          remedy: "Put it there decoded if it is not a bomb.",
        });
        throw bomb;
      }
    }
  };
  try {
    await pipeline(Readable.from(rawBytes(file, stored)), decoder, count, { signal });
  } catch (caught) {
    if (bomb !== undefined) throw bomb;
    if (signal.aborted) throw new CodedError("canceled", "the file source is closing");
    throw broken(caught);
  }
  return size;
}

function broken(caught: unknown): CodedError {
  const { code } = (caught ?? {}) as { code?: unknown };
  if (typeof code !== "string" || !code.startsWith("Z_")) return CodedError.from(caught, "decode");
  return new CodedError("data_loss", `is not a whole gzip file (${code})`, {
    remedy: "Write it aside and rename it when it is complete; it is tried again as it changes.",
  });
}

export function openGzip(file: FileBytes, stored: number): GzipBytes {
  let decoder = createGunzip({ chunkSize: chunkBytes });
  let chunks: AsyncIterator<Buffer> | undefined;
  let chunk: Buffer = Buffer.alloc(0);
  /** The decoded position of what `chunk` begins with. */
  let at = 0;

  const restart = (): AsyncIterator<Buffer> => {
    decoder.destroy();
    decoder = createGunzip({ chunkSize: chunkBytes });
    // What fails is thrown by the iterator.
    pipeline(Readable.from(rawBytes(file, stored)), decoder).catch(() => undefined);
    chunk = Buffer.alloc(0);
    at = 0;
    return (decoder as AsyncIterable<Buffer>)[Symbol.asyncIterator]();
  };

  return {
    read: async (target, offset, length, position) => {
      if (chunks === undefined || position < at) chunks = restart();
      let filled = 0;
      while (filled < length) {
        const skipped = Math.min(chunk.length, position + filled - at);
        const bytes = chunk.copy(target, offset + filled, skipped, skipped + length - filled);
        filled += bytes;
        chunk = chunk.subarray(skipped + bytes);
        at += skipped + bytes;
        if (chunk.length > 0) continue;
        const next = await chunks.next().catch((caught: unknown) => {
          throw broken(caught);
        });
        if (next.done === true) break;
        chunk = next.value;
      }
      return { bytesRead: filled };
    },
    close: () => decoder.destroy(),
  };
}

async function* rawBytes(file: FileBytes, stored: number): AsyncGenerator<Buffer, void, undefined> {
  for (let at = 0; at < stored; ) {
    const bytes = Buffer.allocUnsafe(Math.min(chunkBytes, stored - at));
    const { bytesRead } = await file.read(bytes, 0, bytes.length, at);
    if (bytesRead === 0) return;
    at += bytesRead;
    yield bytes.subarray(0, bytesRead);
  }
}

import { createReadStream } from "node:fs";
import { CodedError } from "@millrace/errors";
import { createContentHash } from "@millrace/files";

/** A block of a part: what is read of it at once. */
export const partBlockBytes = 1024 * 1024;

/**
 * Reads the whole file once, a block at a time. Errors: `data_loss` where it differs from its manifest, and
 * the signal's reason.
 */
export async function verifyPart(
  path: string,
  { file, bytes, blake3 }: { file: string; bytes: number; blake3: string },
  signal: AbortSignal,
): Promise<void> {
  const hash = createContentHash();
  let read = 0;
  for await (const block of createReadStream(path, { highWaterMark: partBlockBytes })) {
    signal.throwIfAborted();
    hash.add(block as Buffer);
    read += (block as Buffer).length;
  }
  if (read === bytes && hash.hex() === blake3) return;
  throw new CodedError("data_loss", `replay: ${file} is not what its manifest says`, {
    remedy: "Replay from the results, or from a copy of the file.",
  });
}

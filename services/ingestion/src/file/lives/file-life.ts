import { createHash } from "node:crypto";
import { CodedError } from "@millrace/errors";
import type { FileBytes } from "../file-reader.js";

/**
 * The lives of a file. A device and an inode stay the same when a file is cut to nothing and written anew, as
 * some programs rotate their logs, and a file system without birth times gives an inode to another file. So
 * what a file begins with, and how many lives of that beginning came before, are parts of the key under which
 * its positions are counted. Nothing of this is stored: buffer is asked how far each life got.
 *
 *   life 0   │ first line … │ 0 … 900     buffer: 900, the file has 300 bytes: it was cut
 *   life 1   │ first line … │ 0 … 300     buffer: 0, so it goes on here, from the start
 *
 * A first line that was taken though it had no end may have got one since: such a file is told by no head.
 */
export interface Life {
  key: string;
  /** Where buffer says that it goes on. */
  position: number;
}

/** A longer first line is told apart by so much of it. */
const headBytes = 256;
/** Lives with one beginning; buffer is asked for each once a start. */
const livesMax = 10_000;
const lineFeed = 0x0a;

/**
 * The first line of a file, or what there is of it. `isWhole`: more that is appended does not change it.
 */
export async function readHead(file: FileBytes, size: number): Promise<{ head: Buffer; isWhole: boolean }> {
  const bytes = Buffer.alloc(Math.min(size, headBytes));
  const { bytesRead } = bytes.length === 0 ? { bytesRead: 0 } : await file.read(bytes, 0, bytes.length, 0);
  const feed = bytes.subarray(0, bytesRead).indexOf(lineFeed);
  if (feed >= 0) return { head: bytes.subarray(0, feed), isWhole: true };
  return { head: bytes.subarray(0, bytesRead), isWhole: bytesRead === headBytes };
}

export interface LifeOptions {
  /** The file's own key. */
  id: string;
  head: Buffer;
  size: number;
  /** Its content is taken in one piece, so an earlier life with another size is over. */
  isOnePiece: boolean;
  /** The life that just ended, if it is known. */
  ended: string | undefined;
  lastPosition(key: string): Promise<number>;
}

/** Whether the file was taken before its first line had an end. */
export const isHeadless = async ({
  id,
  lastPosition,
}: Pick<LifeOptions, "id" | "lastPosition">): Promise<boolean> =>
  (await lastPosition(lifeKey(id, headless, 0))) > 0;

export const headless: Buffer = Buffer.alloc(0);

export async function findLife(options: LifeOptions): Promise<Life> {
  const { id, head, size, isOnePiece, ended, lastPosition } = options;
  for (let generation = 0; generation < livesMax; generation++) {
    const key = lifeKey(id, head, generation);
    const position = await lastPosition(key);
    if (position === 0 && key !== ended) return { key, position };
    // One that ended here, was longer, or has a successor.
    if (ended !== undefined || position > size || (isOnePiece && position !== size)) continue;
    if ((await lastPosition(lifeKey(id, head, generation + 1))) === 0) return { key, position };
  }
  throw new CodedError("failed_precondition", `was cut and written anew more than ${livesMax} times`, {
    remedy: "Copy it to a new file: a new file is read from its start.",
  });
}

function lifeKey(id: string, head: Buffer, generation: number): string {
  const fields = [id, head.toString("hex"), generation];
  return createHash("sha256").update(JSON.stringify(fields)).digest("hex").slice(0, 32);
}

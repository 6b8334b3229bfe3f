import { hash } from "node:crypto";
import { type FileHandle, open } from "node:fs/promises";

/**
 * A sum over lines that does not depend on their order: several sources are stored as they come. Each line
 * gives the first 128 bits of its SHA-256, taken as four numbers of 32 bits, each added modulo 2^32. A line
 * that is changed, lost or there twice changes the sum.
 */
export interface LineSum {
  lines: number;
  /** Line feeds included. */
  bytes: number;
  lanes: Uint32Array;
}

export function emptySum(): LineSum {
  return { lines: 0, bytes: 0, lanes: new Uint32Array(4) };
}

/** `line` without its line feed. */
export function addLine(sum: LineSum, line: Uint8Array): void {
  const digest = hash("sha256", line, "buffer");
  sum.lines += 1;
  sum.bytes += line.length + 1;
  for (let lane = 0; lane < 4; lane++) {
    sum.lanes[lane] = (sum.lanes[lane] ?? 0) + digest.readUInt32LE(4 * lane);
  }
}

export function addSum(sum: LineSum, other: LineSum): void {
  sum.lines += other.lines;
  sum.bytes += other.bytes;
  for (let lane = 0; lane < 4; lane++) sum.lanes[lane] = (sum.lanes[lane] ?? 0) + (other.lanes[lane] ?? 0);
}

/** The sum of the same lines so many times over. */
export function timesSum(sum: LineSum, times: number): LineSum {
  const lanes = sum.lanes.map((lane) => Number((BigInt(lane) * BigInt(times)) & 0xffff_ffffn));
  return { lines: sum.lines * times, bytes: sum.bytes * times, lanes };
}

/** What differs, or undefined. */
export function difference(expected: LineSum, found: LineSum): string | undefined {
  if (found.lines !== expected.lines) return `${found.lines} lines instead of ${expected.lines}`;
  if (found.bytes !== expected.bytes) return `${found.bytes} bytes instead of ${expected.bytes}`;
  const isSame = expected.lanes.every((lane, at) => lane === found.lanes[at]);
  return isSame ? undefined : "other lines than expected, as many of them";
}

const readBytes = 4 * 1024 * 1024;
const lineFeed = 0x0a;

/**
 * Adds the lines of a file, or what `lineOf` takes out of each; throws if it does not end with a line feed.
 */
export async function addFile(
  sum: LineSum,
  path: string,
  signal: AbortSignal,
  lineOf?: (line: Uint8Array) => Uint8Array,
): Promise<void> {
  const file = await open(path, "r");
  try {
    const rest = await addBytes(
      (line) => addLine(sum, lineOf === undefined ? line : lineOf(line)),
      file,
      signal,
    );
    if (rest > 0) throw new Error(`${path} ends in the middle of a line`);
  } finally {
    await file.close();
  }
}

async function addBytes(
  add: (line: Uint8Array) => void,
  file: FileHandle,
  signal: AbortSignal,
): Promise<number> {
  const buffer = Buffer.allocUnsafe(2 * readBytes);
  let held = 0;
  for (;;) {
    signal.throwIfAborted();
    const { bytesRead } = await file.read(buffer, held, buffer.length - held, null);
    if (bytesRead === 0) return held;
    const seen = buffer.subarray(0, held + bytesRead);
    let from = 0;
    for (let feed = seen.indexOf(lineFeed); feed >= 0; feed = seen.indexOf(lineFeed, from)) {
      add(seen.subarray(from, feed));
      from = feed + 1;
    }
    buffer.copy(buffer, 0, from, seen.length);
    held = seen.length - from;
  }
}

import { assert, CodedError } from "@millrace/errors";
import type { Block, BlockShare } from "./block-pool.js";
import type { FramedItem, LineFramer } from "./lines/line-framer.js";

/** What the reader needs of an open file; a FileHandle is one. */
export interface FileBytes {
  read(target: Buffer, offset: number, length: number, position: number): Promise<{ bytesRead: number }>;
}

/** An item and the block its body lies in; call `release` once, when the body is no longer needed. */
export interface LeasedItem {
  item: FramedItem;
  release(): void;
}

export interface ReadRange {
  /** Byte offset at which reading ends: the file's size when it was looked at. */
  to: number;
  /** The file has come to rest: its incomplete last line is framed too. */
  flushTail: boolean;
  /** Bytes that are read and framed at once at most. Default: a block. */
  readBytesMax?: number;
}

/**
 * Reads a file from the framer's position and yields what it frames. Nothing is read until the consumer
 * pulls: what is read is then framed, summed and written while it is in the cache, and no block lies waiting.
 * Ends early, without an error, once the signal is aborted. Afterwards the framer stands where the next call
 * goes on; an incomplete last line is read again then.
 */
export async function* readFrames(
  file: FileBytes,
  framer: LineFramer,
  options: { pool: BlockShare; range: ReadRange; signal: AbortSignal },
): AsyncGenerator<LeasedItem, void, undefined> {
  const { pool, range, signal } = options;
  const { to, readBytesMax = Number.POSITIVE_INFINITY } = range;
  let readFrom = framer.position;
  if (readFrom >= to && range.flushTail) {
    // An oversize line that was passed over before: nothing is left to read, only to tell.
    for (const item of framer.flush({ block: nothing, start: 0, end: 0 }))
      yield { item, release: () => undefined };
  }
  const rest = createRest();
  let current: Lease | undefined;
  try {
    while (readFrom < to && !signal.aborted) {
      // Given back first: who waits for a block while it holds one may wait for itself.
      current?.release();
      current = undefined;
      const read = await readBlock(file, pool, { from: readFrom, to, readBytesMax, signal });
      if (read === undefined) return;
      current = read.lease;
      if (signal.aborted) return;
      const start = pool.headBytes - rest.moveTo(current.block, pool.headBytes);
      readFrom += read.bytes;
      const isMore = readFrom < to;
      const { block } = current;
      const end = pool.headBytes + read.bytes;
      const items = framer.push({ block, start, end }, isMore);
      const restBytes = readFrom - framer.position;
      if (isMore) rest.keep(block.subarray(end - restBytes, end));
      if (!isMore && range.flushTail) {
        items.push(...framer.flush({ block, start: end - restBytes, end }));
      }
      for (const item of items) yield current.share(item);
    }
  } finally {
    current?.release();
  }
}

const nothing = Buffer.alloc(0);

/** The bytes that no item holds yet, while there is no block for them; seldom more than a line. */
function createRest() {
  let kept = nothing;
  let length = 0;
  return {
    keep: (bytes: Buffer): void => {
      if (bytes.length > kept.length) kept = Buffer.allocUnsafeSlow(bytes.length);
      length = bytes.copy(kept);
    },
    /** Puts them in front of `end` and answers how many they are. */
    moveTo: (block: Buffer, end: number): number => kept.copy(block, end - length, 0, length),
  };
}

interface Read {
  lease: Lease;
  bytes: number;
}

async function readBlock(
  file: FileBytes,
  pool: BlockShare,
  { from, to, readBytesMax, signal }: { from: number; to: number; readBytesMax: number; signal: AbortSignal },
): Promise<Read | undefined> {
  const wanted = Math.min(to - from, readBytesMax);
  const taken = await pool.take(wanted, signal);
  if (taken === undefined) return undefined;
  const lease = leaseBlock(taken);
  try {
    const length = Math.min(taken.readBytes, wanted);
    const { bytesRead } = await file.read(lease.block, pool.headBytes, length, from);
    if (bytesRead === 0) throw truncated(from, to);
    return { lease, bytes: bytesRead };
  } catch (caught) {
    lease.release();
    throw caught;
  }
}

interface Lease {
  block: Buffer;
  release(): void;
  share(item: FramedItem): LeasedItem;
}

/** A block and how many still need it; the last one gives it back. */
function leaseBlock(taken: Block): Lease {
  let holders = 1;
  const release = (): void => {
    assert(holders > 0, "a block was released more often than it was leased");
    if (--holders === 0) taken.release();
  };
  return {
    block: taken.bytes,
    release,
    share: (item) => {
      holders++;
      return { item, release };
    },
  };
}

/** The file became shorter than what was read of it, or than it was a moment ago. */
export function truncated(size: number, position: number): CodedError {
  return new CodedError(
    "failed_precondition",
    `truncated: the file ends at byte ${size}, before ${position}`,
    {
      remedy: "Start over by copying it to a new file: a new file is read from its start.",
    },
  );
}

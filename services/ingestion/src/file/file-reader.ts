import { assert, CodedError } from "@millrace/errors";
import type { FramedItem, FrameLimits, LineFramer } from "./line-framer.js";

/** What the reader needs of an open file; a FileHandle is one. */
export interface FileBytes {
  read(target: Buffer, offset: number, length: number, position: number): Promise<{ bytesRead: number }>;
}

/**
 * Read buffers, used again and again: a fresh one costs a page fault each 4 KiB.
 *
 *   0            headBytes                              headBytes + readBytes
 *   │   … rest of  │ bytes of this read                   │ 1 byte: separator of an unterminated last line
 *   │ the last one │
 */
export interface BlockPool {
  readonly headBytes: number;
  readonly readBytes: number;
  take(): Buffer;
  give(block: Buffer): void;
}

export interface BlockPoolOptions {
  /** Bytes of one read. Default those of one body, so that a read makes about one frame. */
  readBytes?: number;
  /** Blocks kept for the next use; more are dropped. Default 16. */
  idleMax?: number;
}

/** `take` never waits: what bounds the blocks in use is how many frames the readers' consumers hold. */
export function createBlockPool(limits: FrameLimits, options: BlockPoolOptions = {}): BlockPool {
  const { readBytes = limits.bodyBytesMax, idleMax = 16 } = options;
  const headBytes = limits.messageBytesMax;
  const idle: Buffer[] = [];
  return {
    headBytes,
    readBytes,
    take: () => idle.pop() ?? Buffer.allocUnsafeSlow(headBytes + readBytes + 1),
    give: (block) => {
      if (idle.length < idleMax) idle.push(block);
    },
  };
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
  options: { pool: BlockPool; range: ReadRange; signal: AbortSignal },
): AsyncGenerator<LeasedItem, void, undefined> {
  const { pool, range, signal } = options;
  const { to } = range;
  let readFrom = framer.position;
  if (readFrom >= to && range.flushTail) {
    // An oversize line that was passed over before: nothing is left to read, only to tell.
    for (const item of framer.flush({ block: nothing, start: 0, end: 0 }))
      yield { item, release: () => undefined };
  }
  let rest: Buffer | undefined;
  let current: Lease | undefined;
  try {
    while (readFrom < to && !signal.aborted) {
      const read = await readBlock(file, pool, { from: readFrom, to });
      if (signal.aborted) {
        read.lease.release();
        return;
      }
      const start = pool.headBytes - (rest?.length ?? 0);
      rest?.copy(read.lease.block, start);
      current?.release();
      current = read.lease;
      readFrom += read.bytes;
      const isMore = readFrom < to;
      const { block } = current;
      const end = pool.headBytes + read.bytes;
      const items = framer.push({ block, start, end }, isMore);
      const restBytes = readFrom - framer.position;
      rest = block.subarray(end - restBytes, end);
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

interface Read {
  lease: Lease;
  bytes: number;
}

async function readBlock(file: FileBytes, pool: BlockPool, at: { from: number; to: number }): Promise<Read> {
  const lease = leaseBlock(pool);
  try {
    const length = Math.min(pool.readBytes, at.to - at.from);
    const { bytesRead } = await file.read(lease.block, pool.headBytes, length, at.from);
    if (bytesRead === 0) throw truncated(at.from, at.to);
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
function leaseBlock(pool: BlockPool): Lease {
  const block = pool.take();
  let holders = 1;
  const release = (): void => {
    assert(holders > 0, "a block was released more often than it was leased");
    if (--holders === 0) pool.give(block);
  };
  return {
    block,
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

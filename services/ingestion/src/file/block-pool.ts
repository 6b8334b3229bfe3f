import { assert } from "@millrace/errors";

/**
 * The read buffers of a process, used again and again: a fresh one costs a page fault each 4 KiB. They bound
 * what all its sources hold, since a body stays in its block until it is appended.
 *
 *   0            headBytes                              headBytes + readBytes
 *   │   … rest of  │ bytes of this read                   │ 1 byte: separator of an unterminated last line
 *   │ the last one │
 *
 *   common   `bytesMax` of large blocks: a source that is alone may hold them all, several are held to an
 *            equal part of them, though what a source held before the others came stays with it
 *   own      one small block per source, for when it holds nothing: a source whose stream is full keeps its
 *            blocks for as long as it is full, and may keep no other source from going on
 */
export interface BlockPool {
  /** One source's part. Nothing is to be closed: a part that holds no block costs nothing. */
  share(): BlockShare;
}

export interface BlockShare {
  readonly headBytes: number;
  /** Bytes that the largest block reads. */
  readonly readBytes: number;
  /** A block for a read of `bytes`, or of fewer; waits for room, and answers nothing after an abort. */
  take(bytes: number, signal: AbortSignal): Promise<Block | undefined>;
}

export interface Block {
  bytes: Buffer;
  readBytes: number;
  /** Call once. */
  release(): void;
}

export interface BlockPoolOptions {
  /** Bytes of one message at most: what is left of a block goes in front of the next one. */
  headBytes: number;
  /** Bytes of one read; best those of one body, so that a read makes about one frame. */
  readBytes: number;
  /** Bytes of one read of a source's own block. */
  smallReadBytes: number;
  /** Bytes of all large blocks; one there is in any case. */
  bytesMax: number;
}

interface Share {
  common: number;
  own: number;
}

interface Waiter {
  share: Share;
  bytes: number;
  pass(block: Block): void;
}

export function createBlockPool(options: BlockPoolOptions): BlockPool {
  const { headBytes, readBytes, bytesMax } = options;
  const smallReadBytes = Math.min(options.smallReadBytes, readBytes);
  const commonMax = Math.max(1, Math.floor(bytesMax / (headBytes + readBytes + 1)));
  const idle: { common: Buffer[]; own: Buffer[] } = { common: [], own: [] };
  /** Those that hold large blocks. */
  const holders = new Set<Share>();
  const waiting: Waiter[] = [];
  let common = 0;

  const lease = (share: Share, from: "common" | "own"): Block => {
    const size = from === "common" ? readBytes : smallReadBytes;
    const bytes = idle[from].pop() ?? Buffer.allocUnsafeSlow(headBytes + size + 1);
    const count = (by: number): void => {
      share[from] += by;
      if (from === "own") return;
      common += by;
      if (share.common > 0) holders.add(share);
      else holders.delete(share);
    };
    count(1);
    let isHeld = true;
    const release = (): void => {
      assert(isHeld, "a block was released twice");
      isHeld = false;
      idle[from].push(bytes);
      count(-1);
      letIn();
    };
    return { bytes, readBytes: size, release };
  };

  const tryTake = (share: Share, bytes: number): Block | undefined => {
    const hasOwn = share.own === 0;
    // The small one also where it is enough: a file that grows by lines holds 12 MiB for none of them.
    if (hasOwn && bytes <= smallReadBytes) return lease(share, "own");
    const sharing = new Set([...holders, ...waiting.map((waiter) => waiter.share), share]);
    const partMax = Math.max(1, Math.floor(commonMax / sharing.size));
    if (common < commonMax && share.common < partMax) return lease(share, "common");
    return hasOwn && share.common === 0 ? lease(share, "own") : undefined;
  };

  /** In turn, but past those that have their part. */
  const letIn = (): void => {
    for (const waiter of waiting.slice()) {
      const block = tryTake(waiter.share, waiter.bytes);
      if (block === undefined) continue;
      waiting.splice(waiting.indexOf(waiter), 1);
      waiter.pass(block);
    }
  };

  const take = (share: Share, bytes: number, signal: AbortSignal): Promise<Block | undefined> => {
    const block = waiting.some((waiter) => waiter.share === share) ? undefined : tryTake(share, bytes);
    if (block !== undefined) return Promise.resolve(block);
    return new Promise((resolve) => {
      const abort = (): void => {
        waiting.splice(waiting.indexOf(waiter), 1);
        resolve(undefined);
        letIn();
      };
      const pass = (granted: Block): void => {
        signal.removeEventListener("abort", abort);
        resolve(granted);
      };
      const waiter = { share, bytes, pass };
      waiting.push(waiter);
      signal.addEventListener("abort", abort, { once: true });
    });
  };

  return {
    share: () => {
      const share: Share = { common: 0, own: 0 };
      return {
        headBytes,
        readBytes,
        take: async (bytes, signal) => (signal.aborted ? undefined : take(share, bytes, signal)),
      };
    },
  };
}

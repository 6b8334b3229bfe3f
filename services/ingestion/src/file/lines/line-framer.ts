import { assert, present } from "@millrace/errors";
import type { Kind } from "@millrace/proto/batch";

/**
 * Cuts a file's bytes into frames of whole lines, without an object or a copy per line.
 *
 *   position →   from                                                       to
 *   file         │ line 0 \n │ line 1 \n │ … │ line n-1 \n │ incomplete line …
 *   frame        └──────────── body, LINES framing ────────┘ └─ rest: shown again in front of the next bytes
 *
 * A message's position is the byte offset of its start; a CR before the LF is content; a blank line is a
 * message of length 0.
 */
export interface Frame {
  kind: "frame";
  /**
   * `count` lines, each followed by 0x0A. A view into the block that was pushed: it lives as long as the
   * block.
   */
  body: Uint8Array;
  /** Bytes of each line without its 0x0A. */
  lengths: Uint32Array;
  /** Byte offsets into the file, [from, to). */
  positionFrom: number;
  positionTo: number;
  count: number;
  /** The last line ends with the file: its 0x0A is in the body and not in the file. */
  unterminated: boolean;
  /** The body is not the file's own lines: the messages lie back to back, and reach so far in the file. */
  packed?: { positionDeltas: Uint32Array; kind?: Kind };
}

/** What cannot be a message. */
export interface Rejection {
  kind: "rejection";
  /** A fixed sentence. */
  reason: string;
  positionFrom: number;
  positionTo: number;
  /** The line's first bytes, a copy. */
  prefix: Uint8Array;
  /** Bytes of the line beyond the prefix, its 0x0A excluded. */
  truncatedBytes: number;
}

export type FramedItem = Frame | Rejection;

export interface FrameLimits {
  /** Messages of one frame. */
  countMax: number;
  /** Bytes of one body, separators included. */
  bodyBytesMax: number;
  /** Bytes of one message. */
  messageBytesMax: number;
  /** Bytes kept of a line that is rejected. */
  prefixBytesMax: number;
}

/**
 * design: frames of at most 8,192 messages or 1 MiB; a message fits a bus message with its header (768 KiB).
 */
export const defaultFrameLimits: FrameLimits = {
  countMax: 8192,
  bodyBytesMax: 1 << 20,
  messageBytesMax: 768 << 10,
  prefixBytesMax: 64 << 10,
};

/** Bytes of a block that hold what the framer is shown. */
export interface BlockSlice {
  block: Buffer;
  start: number;
  end: number;
}

export interface LineFramer {
  /** Where the next unseen byte lies in the file: the bytes pushed next start here. */
  readonly position: number;
  /** Up to here every byte is in an item. Behind `position` only inside an oversize line. */
  readonly framedTo: number;
  /**
   * Frames what is complete. `more`: further bytes are known to follow, so a small remainder may wait for
   * them. The bytes from `position` (as it is afterwards) to the slice's end must start the next slice.
   */
  push(slice: BlockSlice, more: boolean): FramedItem[];
  /**
   * Frames the incomplete line at the end of a file that has come to rest. The slice is the rest alone, and
   * one byte behind its end is overwritten with the separator.
   */
  flush(slice: BlockSlice): FramedItem[];
}

interface OversizeLine {
  positionFrom: number;
  prefix: Uint8Array;
  /** Bytes of the line seen so far. */
  seenBytes: number;
}

/**
 * A remainder of whole lines smaller than this share of a frame rides with the next block: otherwise each
 * read of 1 MiB would end in a frame of a line or two. It is searched twice, so the share bounds that waste.
 */
const remainderShare = 1 / 8;
const lineFeed = 0x0a;

export function createLineFramer(limits: FrameLimits, position: number): LineFramer {
  return new Framer(limits, position);
}

class Framer implements LineFramer {
  readonly #limits: FrameLimits;
  #position: number;
  #oversize: OversizeLine | undefined;
  /** Of the frame that is being filled; copied once it is closed. */
  readonly #lengths: Uint32Array;

  constructor(limits: FrameLimits, position: number) {
    assert(
      limits.bodyBytesMax > limits.messageBytesMax,
      "a body must hold the largest message and its separator",
    );
    this.#limits = limits;
    this.#position = position;
    this.#lengths = new Uint32Array(limits.countMax);
  }

  get position(): number {
    return this.#position;
  }

  get framedTo(): number {
    return this.#oversize?.positionFrom ?? this.#position;
  }

  push({ block, start, end }: BlockSlice, more: boolean): FramedItem[] {
    const { countMax, bodyBytesMax, messageBytesMax } = this.#limits;
    const items: FramedItem[] = [];
    // A search must not run into the stale bytes behind the end.
    const seen = block.subarray(0, end);
    let cursor = this.#oversize === undefined ? start : this.#skip(seen, start, items);
    let open: OpenFrame = { start: cursor, count: 0 };
    for (let feed = seen.indexOf(lineFeed, cursor); feed >= 0; feed = seen.indexOf(lineFeed, cursor)) {
      const length = feed - cursor;
      const isOversize = length > messageBytesMax;
      if (isOversize || open.count === countMax || feed + 1 - open.start > bodyBytesMax) {
        open = this.#close(seen, { open, cursor, items });
      }
      if (isOversize) {
        cursor = this.#skipFrom(seen, cursor, items);
        open.start = cursor;
      } else {
        this.#lengths[open.count++] = length;
        cursor = feed + 1;
      }
    }
    if (end - cursor > messageBytesMax) {
      this.#close(seen, { open, cursor, items });
      this.#skipFrom(seen, cursor, items);
    } else if (!(more && items.length > 0 && this.#canWait({ start: open.start, cursor, end }))) {
      this.#close(seen, { open, cursor, items });
    }
    return items;
  }

  flush({ block, start, end }: BlockSlice): FramedItem[] {
    if (this.#oversize !== undefined) {
      assert(start === end, "an oversize line leaves no rest");
      return [this.#reject(this.#oversize)];
    }
    if (start === end) return [];
    assert(end < block.length, "the separator of the last line needs a byte behind it");
    block[end] = lineFeed;
    const positionFrom = this.#position;
    this.#position += end - start;
    return [
      {
        kind: "frame",
        body: block.subarray(start, end + 1),
        lengths: Uint32Array.of(end - start),
        positionFrom,
        positionTo: this.#position,
        count: 1,
        unterminated: true,
      },
    ];
  }

  #close(
    seen: Buffer,
    { open, cursor, items }: { open: OpenFrame; cursor: number; items: FramedItem[] },
  ): OpenFrame {
    const positionFrom = this.#position;
    this.#position += cursor - open.start;
    if (open.count > 0) {
      items.push({
        kind: "frame",
        body: seen.subarray(open.start, cursor),
        lengths: this.#lengths.slice(0, open.count),
        positionFrom,
        positionTo: this.#position,
        count: open.count,
        unterminated: false,
      });
    }
    return { start: cursor, count: 0 };
  }

  #skipFrom(seen: Buffer, from: number, items: FramedItem[]): number {
    const prefix = new Uint8Array(seen.subarray(from, from + this.#limits.prefixBytesMax));
    this.#oversize = { positionFrom: this.#position, prefix, seenBytes: 0 };
    return this.#skip(seen, from, items);
  }

  /**
   * Passes over the oversize line, to its 0x0A or the end of what is there; returns where the next line
   * starts.
   */
  #skip(seen: Buffer, from: number, items: FramedItem[]): number {
    const line = present(this.#oversize, "the oversize line");
    const feed = seen.indexOf(lineFeed, from);
    const lineEnd = feed < 0 ? seen.length : feed;
    const after = feed < 0 ? seen.length : feed + 1;
    line.seenBytes += lineEnd - from;
    this.#position += after - from;
    if (feed >= 0) items.push(this.#reject(line));
    return after;
  }

  #reject({ positionFrom, prefix, seenBytes }: OversizeLine): Rejection {
    this.#oversize = undefined;
    const truncatedBytes = seenBytes - prefix.length;
    return {
      kind: "rejection",
      reason: "line above the size limit of a message",
      positionFrom,
      positionTo: this.#position,
      prefix,
      truncatedBytes,
    };
  }

  #canWait(rest: { start: number; cursor: number; end: number }): boolean {
    const isSmall = rest.cursor - rest.start < this.#limits.bodyBytesMax * remainderShare;
    return isSmall && rest.end - rest.start <= this.#limits.messageBytesMax;
  }
}

/**
 * Lines that are not in an item yet; the first one starts at byte `start` of the block, the framer's
 * position.
 */
interface OpenFrame {
  start: number;
  count: number;
}

/** How far each message of a frame reaches in the file: its length and its separator, if the file has one. */
export function positionDeltas(frame: Pick<Frame, "lengths" | "unterminated" | "packed">): Uint32Array {
  if (frame.packed !== undefined) return frame.packed.positionDeltas;
  const deltas = frame.lengths.map((length) => length + 1);
  const last = deltas.length - 1;
  if (frame.unterminated) deltas[last] = (deltas[last] as number) - 1;
  return deltas;
}

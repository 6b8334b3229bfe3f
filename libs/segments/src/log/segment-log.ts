import { CodedError } from "@millrace/errors";
import { writeAll } from "@millrace/files";
import { freedMark, stateAt } from "./frame.js";
import {
  createFrameWriter,
  type FramePlace,
  type FrameToAppend,
  type FrameWriter,
  layOut,
} from "./frame-writer.js";
import { createReserve } from "./reserve.js";
import type { RecoveredFrame } from "./scan.js";
import { openShelf, type Segment, type Shelf, type ShelfOptions } from "./segment-shelf.js";

/*
 * A log of bulk bodies: numbered files of fixed size, read by any process, written by the one that owns the
 * log and by those to which it leases whole segments (see ../lease).
 *
 *     <dir>/00000012.seg   a segment: head and frames (see frame.ts), then what its former life left
 *     <dir>/free-3.seg     recycled, for its next life: eight times as fast to write as a new file
 *
 * A frame is durable when `append` resolves: one fdatasync covers all frames written while the last one ran.
 * A frame is freed when nothing refers to it; a segment whose frames are all freed is recycled. Segment
 * numbers never repeat, so a reference to an old life of a file can't be mistaken: the file with the highest
 * number is always kept, since the names in the directory are all that a restart knows of numbers.
 */
export type SegmentLogOptions = ShelfOptions;

export interface SegmentLog {
  /** Errors: `resource_exhausted` when live segments are at their bound or the disk is full. */
  append(frame: FrameToAppend): Promise<FramePlace>;
  release(place: FramePlace): Promise<void>;
  /** Frames that were live when the log was opened, oldest first. */
  recovered: readonly RecoveredFrame[];
  /** Frames skipped at opening because their checksum was wrong. */
  damaged: number;
  liveBytes(): number;
  /** A write or sync failed elsewhere: from now on every append is refused. The error that says so. */
  breakWith(cause: unknown): CodedError;
  /** The files, for leases and what lies beside segments. */
  shelf: Shelf;
  close(): Promise<void>;
}

export async function openSegmentLog(options: SegmentLogOptions): Promise<SegmentLog> {
  const { segmentBytes } = options;
  const shelf = await openShelf(options);
  const writer = createFrameWriter(options.onBroken);
  const reserve = createReserve<Segment>({
    open: (waitMs) => shelf.openNext("owner", waitMs),
    seal: async (full) => {
      full.sealed = true;
      await shelf.recycleIfDone(full);
    },
    bytesOf: () => segmentBytes,
    roomWaitMs: options.roomWaitMs ?? 0,
    taken: (segment) => void segment.live++,
  });

  const append = async (frame: FrameToAppend): Promise<FramePlace> => {
    const broken = writer.broken();
    if (broken !== undefined) throw broken;
    const laidOut = await layOut(frame);
    const { segment, offset } = await reserve.take(laidOut.bytes).catch((cause: unknown) => {
      throw coded(cause, writer);
    });
    try {
      return await writer.write(laidOut, { ...segment, segment: segment.number, offset });
    } catch (cause) {
      segment.live--;
      await shelf.recycleIfDone(segment);
      throw cause;
    }
  };
  return {
    recovered: shelf.recovered,
    damaged: shelf.damaged,
    append,
    release: (place) => release(shelf, place),
    liveBytes: shelf.liveBytes,
    breakWith: writer.breakWith,
    shelf,
    close: async () => {
      for (const segment of await reserve.close()) {
        segment.sealed = true;
        await shelf.recycleIfDone(segment);
      }
      await shelf.close();
    },
  };
}

/** What is not an answer of ours is a disk that failed while a segment was opened or put away. */
function coded(cause: unknown, writer: FrameWriter): CodedError {
  return cause instanceof CodedError ? cause : writer.breakWith(cause);
}

async function release(shelf: Shelf, place: FramePlace): Promise<void> {
  const segment = shelf.segments.get(place.segment);
  if (segment === undefined) return;
  segment.live--;
  if (segment.sealed && segment.live === 0) return shelf.recycleIfDone(segment);
  // Not synced: after a power cut the frame is published once more, and recognised by its id.
  await writeAll(segment.file, [freedMark], stateAt(place.frameOffset));
}

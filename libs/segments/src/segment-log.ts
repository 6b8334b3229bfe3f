import { crc32 } from "node:zlib";
import { CodedError } from "@millrace/errors";
import { encodeFrameHeader, encodeMeta, frameBytes, frameHeaderBytes, freedMark, stateAt } from "./frame.js";
import { createGroupSync } from "./group-sync.js";
import type { RecoveredFrame } from "./scan.js";
import { type SegmentFile, writeAll } from "./segment-file.js";
import { openShelf, type Segment, type Shelf, type ShelfOptions } from "./segment-shelf.js";

/*
 * A writer's log of bulk bodies: numbered files of fixed size, written by one process, read by any.
 *
 *     <dir>/00000012.seg   a segment: frames back to back (see frame.ts), then what its former life left
 *     <dir>/free-3.seg     recycled, for its next life: eight times as fast to write as a new file
 *
 * A frame is durable when `append` resolves: one fdatasync covers all frames written while the last one ran.
 * A frame is freed when nothing refers to it; a segment whose frames are all freed is recycled. Segment
 * numbers never repeat, so a reference to an old life of a file can't be mistaken: the file with the highest
 * number is always kept, since the names in the directory are all that a restart knows of numbers.
 */
export type SegmentLogOptions = ShelfOptions;

export interface FrameToAppend {
  id: string;
  subject: string;
  /** The batch without its body, protobuf. */
  batch: Uint8Array;
  body: Uint8Array;
}

export interface FramePlace {
  segment: number;
  /** Where the frame begins in the file. */
  frameOffset: number;
  /** Where its body begins. */
  offset: number;
  length: number;
  crc32: number;
}

export interface SegmentLog {
  /** Errors: `resource_exhausted` when live segments are at their bound or the disk is full. */
  append(frame: FrameToAppend): Promise<FramePlace>;
  release(place: FramePlace): Promise<void>;
  /** Frames that were live when the log was opened, oldest first. */
  recovered: readonly RecoveredFrame[];
  /** Frames skipped at opening because their checksum was wrong. */
  damaged: number;
  liveBytes(): number;
  close(): Promise<void>;
}

/** Gives out room in the active segment or the next one. Callers queue while a segment is being opened. */
function createReserve(shelf: Shelf, segmentBytes: number) {
  let active: Segment | undefined;
  let opening: Promise<Segment> | undefined;
  const turn = async (): Promise<void> => {
    const full = active;
    active = undefined;
    opening = (async () => {
      // Sealed first: it may be the one whose room is waited for.
      if (full !== undefined) {
        full.sealed = true;
        await shelf.recycleIfDone(full);
      }
      return shelf.openNext();
    })();
    try {
      active = await opening;
    } finally {
      opening = undefined;
    }
  };
  return async (bytes: number): Promise<{ segment: Segment; offset: number }> => {
    for (;;) {
      if (opening !== undefined) await opening;
      else if (active === undefined || active.end + bytes > segmentBytes) await turn();
      else {
        const offset = active.end;
        active.end += bytes;
        active.live++;
        return { segment: active, offset };
      }
    }
  };
}

export async function openSegmentLog(options: SegmentLogOptions): Promise<SegmentLog> {
  const { segmentBytes } = options;
  const shelf = await openShelf(options);
  const group = createGroupSync<SegmentFile>();
  const reserve = createReserve(shelf, segmentBytes);
  let broken: CodedError | undefined;

  /**
   * After a failed sync nothing may be called durable any more; a write that found no room only costs its
   * frame.
   */
  function failed(cause: unknown, syncing: boolean): CodedError {
    if (!syncing && (cause as NodeJS.ErrnoException).code === "ENOSPC") {
      return new CodedError("resource_exhausted", "append to segments: the disk is full", {
        remedy: "Free space on the segment volume.",
        retryAfterMs: 1_000,
        cause,
      });
    }
    if (broken === undefined) {
      // Not an error of any batch: whoever holds one keeps it until the process is started anew.
      broken = new CodedError("unavailable", "append to segments: the disk failed", { cause });
      options.onBroken?.(broken);
    }
    return broken;
  }

  async function write(segment: Segment, offset: number, parts: readonly Uint8Array[]): Promise<void> {
    let syncing = false;
    try {
      await writeAll(segment.file, parts, offset);
      syncing = true;
      await group.sync(segment.file);
    } catch (cause) {
      segment.live--;
      const error = failed(cause, syncing);
      await shelf.recycleIfDone(segment);
      throw error;
    }
  }

  async function append(frame: FrameToAppend): Promise<FramePlace> {
    if (broken !== undefined) throw broken;
    const meta = encodeMeta(frame.subject, frame.batch);
    const bytes = frameBytes(meta.length, frame.body.length);
    if (bytes > segmentBytes) {
      throw new CodedError("invalid_argument", "append to segments: frame larger than a segment");
    }
    const { segment, offset } = await reserve(bytes);
    const bodyCrc = crc32(frame.body);
    const header = encodeFrameHeader({
      segment: segment.number,
      metaBytes: meta.length,
      bodyBytes: frame.body.length,
      metaCrc: crc32(meta),
      bodyCrc,
      id: frame.id,
    });
    await write(segment, offset, [header, meta, frame.body]);
    return {
      segment: segment.number,
      frameOffset: offset,
      offset: offset + frameHeaderBytes + meta.length,
      length: frame.body.length,
      crc32: bodyCrc,
    };
  }

  return {
    recovered: shelf.recovered,
    damaged: shelf.damaged,
    append,
    release: (place) => release(shelf, place),
    liveBytes: () => shelf.segments.size * segmentBytes,
    close: async () => {
      await Promise.all([...shelf.segments.values()].map((segment) => segment.file.close()));
      shelf.segments.clear();
    },
  };
}

async function release(shelf: Shelf, place: FramePlace): Promise<void> {
  const segment = shelf.segments.get(place.segment);
  if (segment === undefined) return;
  segment.live--;
  if (segment.sealed && segment.live === 0) return shelf.recycleIfDone(segment);
  // Not synced: after a power cut the frame is published once more, and recognised by its id.
  await segment.file.write(freedMark, 0, 2, stateAt(place.frameOffset));
}

import { type FileHandle, mkdir, open, readdir, rename, unlink } from "node:fs/promises";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { CodedError } from "@millrace/errors";
import { encodeFrameHeader, encodeMeta, frameBytes, frameHeaderBytes, freedState, stateAt } from "./frame.js";
import { type RecoveredFrame, scanSegment } from "./scan.js";

/*
 * A writer's log of bulk bodies: numbered files of fixed size, written by one process, read by any.
 *
 *     <dir>/00000012.seg   one segment: frames back to back (see frame.ts), then whatever its former life left
 *     <dir>/free-3.seg     recycled, waiting for its next life: writing it again is eight times as fast as a new file
 *
 * A frame is durable when `append` resolves: one fdatasync covers all frames written while the last one ran. A frame is
 * freed when nothing refers to it; a segment whose frames are all freed is recycled. Segment numbers never repeat, so
 * a reference to an old life of a file can't be mistaken.
 */
export interface SegmentLogOptions {
  dir: string;
  /** Bytes of a segment file. */
  segmentBytes: number;
  /** Bytes of all segments that may hold live frames; beyond it appends are refused. */
  liveBytesMax: number;
}

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

interface Segment {
  number: number;
  path: string;
  file: FileHandle;
  end: number;
  live: number;
  sealed: boolean;
}

const freeFilesMax = 4;

export async function openSegmentLog(options: SegmentLogOptions): Promise<SegmentLog> {
  const { dir, segmentBytes } = options;
  await mkdir(dir, { recursive: true });
  const segments = new Map<number, Segment>();
  const free: string[] = [];
  const recovered: RecoveredFrame[] = [];
  let damaged = 0;
  let nextNumber = 1;
  let broken: CodedError | undefined;

  for (const name of (await readdir(dir)).sort()) {
    const path = join(dir, name);
    if (/^free-\d+\.seg$/.test(name)) free.push(path);
    const number = /^(\d{8,})\.seg$/.exec(name)?.[1];
    if (number === undefined) continue;
    const file = await open(path, "r+");
    const found = await scanSegment(file, Number(number));
    damaged += found.damaged;
    recovered.push(...found.frames);
    nextNumber = Math.max(nextNumber, Number(number) + 1);
    const segment: Segment = { number: Number(number), path, file, end: found.end, live: found.frames.length, sealed: true };
    segments.set(segment.number, segment);
    await recycleIfDone(segment);
  }

  let active: Segment | undefined;
  let opening: Promise<Segment> | undefined;

  async function openSegment(): Promise<Segment> {
    if ((segments.size + 1) * segmentBytes > options.liveBytesMax) {
      throw new CodedError("resource_exhausted", "append to segments: live segments are at their bound", {
        field: "segments.liveBytesMax",
        remedy: "Wait until consumers catch up, or raise the bound.",
        retryAfterMs: 200,
      });
    }
    const number = nextNumber++;
    const path = join(dir, `${String(number).padStart(8, "0")}.seg`);
    const recycled = free.pop();
    if (recycled !== undefined) await rename(recycled, path);
    const file = await open(path, recycled === undefined ? "wx+" : "r+");
    if (recycled === undefined) await file.truncate(segmentBytes);
    await syncDirectory(dir);
    const segment: Segment = { number, path, file, end: 0, live: 0, sealed: false };
    segments.set(number, segment);
    return segment;
  }

  async function recycleIfDone(segment: Segment): Promise<void> {
    if (!segment.sealed || segment.live > 0 || !segments.delete(segment.number)) return;
    await segment.file.close();
    if (free.length >= freeFilesMax) return unlink(segment.path);
    const path = join(dir, `free-${segment.number}.seg`);
    await rename(segment.path, path);
    free.push(path);
  }

  /** Room for a frame, in the active segment or the next one. Callers queue while a segment is being opened. */
  async function reserve(bytes: number): Promise<{ segment: Segment; offset: number }> {
    for (;;) {
      if (opening !== undefined) await opening;
      else if (active !== undefined && active.end + bytes <= segmentBytes) {
        const offset = active.end;
        active.end += bytes;
        active.live++;
        return { segment: active, offset };
      } else {
        const full = active;
        opening = openSegment();
        try {
          active = await opening;
        } finally {
          opening = undefined;
        }
        if (full !== undefined) {
          full.sealed = true;
          await recycleIfDone(full);
        }
      }
    }
  }

  let syncing: Promise<void> | undefined;
  let next: Promise<void> | undefined;
  /** Group commit: resolves when a sync that began after this call has ended. */
  async function sync(segment: Segment): Promise<void> {
    next ??= (async () => {
      await syncing?.catch(() => undefined);
      syncing = next;
      next = undefined;
      await Promise.all([...unsynced].map((written) => syncSegment(written)));
    })();
    unsynced.add(segment);
    await next;
  }
  const unsynced = new Set<Segment>();
  async function syncSegment(segment: Segment): Promise<void> {
    unsynced.delete(segment);
    await segment.file.datasync();
  }

  return {
    recovered,
    damaged,
    append: async (frame) => {
      if (broken !== undefined) throw broken;
      const meta = encodeMeta(frame.subject, frame.batch);
      const bytes = frameBytes(meta.length, frame.body.length);
      if (bytes > segmentBytes) throw new CodedError("invalid_argument", "append to segments: frame larger than a segment");
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
      try {
        await segment.file.writev([header, meta, frame.body], offset);
        await sync(segment);
      } catch (cause) {
        segment.live--;
        if ((cause as NodeJS.ErrnoException).code === "ENOSPC") {
          throw new CodedError("resource_exhausted", "append to segments: the disk is full", {
            remedy: "Free space on the segment volume.",
            retryAfterMs: 1_000,
            cause,
          });
        }
        // After a failed sync the kernel may have dropped the pages: trying again would lie (Rebello et al., ATC 2020).
        broken = new CodedError("internal", "append to segments: the disk failed", { cause });
        throw broken;
      }
      return {
        segment: segment.number,
        frameOffset: offset,
        offset: offset + frameHeaderBytes + meta.length,
        length: frame.body.length,
        crc32: bodyCrc,
      };
    },
    release: async (place) => {
      const segment = segments.get(place.segment);
      if (segment === undefined) return;
      segment.live--;
      if (segment.sealed && segment.live === 0) return recycleIfDone(segment);
      // Not synced: after a power cut the frame is published once more, and recognised by its id.
      await segment.file.write(Buffer.from([freedState, 0]), 0, 2, stateAt(place.frameOffset));
    },
    liveBytes: () => segments.size * segmentBytes,
    close: async () => {
      await Promise.all([...segments.values()].map((segment) => segment.file.close()));
      segments.clear();
    },
  };
}

async function syncDirectory(dir: string): Promise<void> {
  const handle = await open(dir, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

import { mkdir, readdir, rename, unlink } from "node:fs/promises";
import { join } from "node:path";
import { CodedError } from "@millrace/errors";
import { type RecoveredFrame, scanSegment } from "./scan.js";
import { type OpenFile, openFile, type SegmentFile, syncDirectory } from "./segment-file.js";

export interface ShelfOptions {
  dir: string;
  /** Bytes of a segment file. */
  segmentBytes: number;
  /** Bytes of all segments that may hold live frames; beyond it appends are refused. */
  liveBytesMax: number;
  /**
   * How long an append waits for a segment to become free before it is refused. Default 0. Waiting is the
   * cheaper back-pressure: who is refused sends the same bytes again.
   */
  roomWaitMs?: number;
  /** Told once when a write or sync failed: what the disk holds is only known after a new start. */
  onBroken?: (error: CodedError) => void;
  /** The disk; files of the file system when absent. */
  openFile?: OpenFile;
}

/** One file while it holds frames. */
export interface Segment {
  number: number;
  path: string;
  file: SegmentFile;
  end: number;
  live: number;
  sealed: boolean;
}

/** Enough that a writer at full speed always finds one; each costs a segment's bytes of disk. */
const freeFilesMax = 4;

/** Segment files of a directory: opened anew, recycled, counted. */
export interface Shelf {
  segments: Map<number, Segment>;
  recovered: RecoveredFrame[];
  damaged: number;
  openNext(): Promise<Segment>;
  /** A sealed segment without live frames becomes a free file. */
  recycleIfDone(segment: Segment): Promise<void>;
}

const segmentPath = (dir: string, number: number): string =>
  join(dir, `${String(number).padStart(8, "0")}.seg`);
const freePath = (dir: string, number: number): string => join(dir, `free-${number}.seg`);

/** Reads what earlier lives left in the directory. */
export async function openShelf(options: ShelfOptions): Promise<Shelf> {
  const { dir, segmentBytes } = options;
  const openOn = options.openFile ?? openFile;
  await mkdir(dir, { recursive: true });
  // Numbers of the free files, ascending.
  const free: number[] = [];
  let lastNumber = 0;
  const isFull = (): boolean => (shelf.segments.size + 1) * segmentBytes > options.liveBytesMax;
  let freed: (() => void) | undefined;
  const untilFreed = async (waitMs: number): Promise<void> => {
    if (waitMs === 0) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, waitMs);
      freed = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  };
  const shelf: Shelf = {
    segments: new Map(),
    recovered: [],
    damaged: 0,
    openNext: async () => {
      if (isFull()) await untilFreed(options.roomWaitMs ?? 0);
      if (isFull()) {
        throw new CodedError("resource_exhausted", "append to segments: live segments are at their bound", {
          field: "segments.liveBytesMax",
          remedy: "Wait until consumers catch up, or raise the bound.",
          retryAfterMs: 200,
        });
      }
      lastNumber += 1;
      const number = lastNumber;
      const path = segmentPath(dir, number);
      const recycled = free.pop();
      if (recycled !== undefined) await rename(freePath(dir, recycled), path);
      const file = await openOn(path, recycled === undefined ? "wx+" : "r+");
      // A recycled file may be of another size, if that was set differently in its former life.
      await file.truncate(segmentBytes);
      await syncDirectory(dir);
      const segment: Segment = { number, path, file, end: 0, live: 0, sealed: false };
      shelf.segments.set(number, segment);
      return segment;
    },
    recycleIfDone: async (segment) => {
      if (!segment.sealed || segment.live > 0 || !shelf.segments.delete(segment.number)) return;
      await segment.file.close();
      await rename(segment.path, freePath(dir, segment.number));
      free.push(segment.number);
      free.sort((a, b) => a - b);
      const surplus = free.length > freeFilesMax ? free.shift() : undefined;
      if (surplus !== undefined) await unlink(freePath(dir, surplus));
      freed?.();
    },
  };
  const names = await readdir(dir);
  const numbered = (pattern: RegExp): number[] =>
    names
      .flatMap((name) => pattern.exec(name)?.[1] ?? [])
      .map(Number)
      .sort((a, b) => a - b);
  free.push(...numbered(/^free-(\d+)\.seg$/));
  const used = numbered(/^(\d{8,})\.seg$/);
  lastNumber = Math.max(0, ...free, ...used);
  for (const number of used) {
    const path = segmentPath(dir, number);
    const file = await openOn(path, "r+");
    const found = await scanSegment(file, number);
    shelf.damaged += found.damaged;
    shelf.recovered.push(...found.frames);
    const segment: Segment = { number, path, file, end: found.end, live: found.frames.length, sealed: true };
    shelf.segments.set(number, segment);
    await shelf.recycleIfDone(segment);
  }
  return shelf;
}

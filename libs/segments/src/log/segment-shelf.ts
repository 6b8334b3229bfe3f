import { randomBytes } from "node:crypto";
import { basename, join } from "node:path";
import { CodedError } from "@millrace/errors";
import { isSystemError, writeAll } from "@millrace/files";
import { type Disk, type DiskFile, nodeDisk } from "../disk/disk.js";
import { encodeSegmentHead, segmentHeadBytes, type WrittenBy } from "./frame.js";
import { quarantine } from "./quarantine.js";
import { type IsOurs, type RecoveredFrame, scanSegment } from "./scan.js";

/*
 * The life of a segment file:
 *
 *     (new) ──► 00000012.seg ──sealed, no frame lives──► free-12.seg ──new number and head──► 00000013.seg
 *                     │
 *                     └──the same, but its writer may still hold it open──► gone-12.seg ──► (removed)
 */
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
  /** Files of the file system when absent. */
  disk?: Disk;
  /** A number that nobody can guess, new with each call. */
  newSalt?: () => bigint;
  /** Whether a frame can be of this log; one that is not counts as damaged. Absent: each can. */
  isOurs?: IsOurs;
}

/** One file while it holds frames. */
export interface Segment {
  number: number;
  path: string;
  file: DiskFile;
  /** Of this life of the file; without meaning where its head was not sound and it holds no frame. */
  salt: bigint;
  end: number;
  live: number;
  sealed: boolean;
  /**
   * Somebody who has no right to it any more may still hold it open, and write once more when he wakes: the
   * file is never used again.
   */
  tainted: boolean;
}

/** Kept though nobody needs them: enough that a writer always finds one. Each costs a segment's bytes. */
const freeFilesMin = 4;
/**
 * For how many `putAway`s, which come every second, a file must have been free before it goes. What swings
 * with the load would be made anew each time, with fresh pages in the system's cache and in each map of it:
 * a tenth of the speed of a whole pipeline (measured).
 */
const unneededLooks = 60;

/** Segment files of a directory: opened anew, recycled, counted. */
export interface Shelf {
  segments: Map<number, Segment>;
  recovered: RecoveredFrame[];
  /** Frames and gaps that were not what was written; a copy of each lies in `quarantine/`. */
  damaged: number;
  isOurs: IsOurs;
  /** Errors: `resource_exhausted` when there is no room after `waitMs`, or the disk is full. */
  openNext(writtenBy: WrittenBy, waitMs: number): Promise<Segment>;
  /**
   * A sealed segment without live frames becomes a free file. Where the disk refuses that, the file counts as
   * live until `putAway` gets it through.
   */
  recycleIfDone(segment: Segment): Promise<void>;
  /**
   * To be called every second: tries again what the disk refused, and removes free files that were not needed
   * for long. Each is tried; errors: that of the first that fails.
   */
  putAway(): Promise<void>;
  liveBytes(): number;
  /** Bytes beside segments that count as live. */
  count(bytes: number): void;
  close(): Promise<void>;
}

const segmentPath = (dir: string, number: number): string =>
  join(dir, `${String(number).padStart(8, "0")}.seg`);
const freePath = (dir: string, number: number): string => join(dir, `free-${number}.seg`);
const gonePath = (dir: string, number: number): string => join(dir, `gone-${number}.seg`);

/** Numbers of the files of a directory, ascending. */
interface Numbers {
  used: number[];
  free: number[];
  gone: number[];
  /** Segments of which frames lie in the spill directory: a new one of that number would hide them. */
  spilled: number[];
}

async function readNumbers(disk: Disk, dir: string): Promise<Numbers> {
  const names = await disk.readdir(dir);
  const spilled = await disk.readdir(join(dir, "spill"));
  const numbered = (pattern: RegExp, among = names): number[] =>
    among
      .flatMap((name) => pattern.exec(name)?.[1] ?? [])
      .map(Number)
      .sort((a, b) => a - b);
  return {
    used: numbered(/^(\d{8,})\.seg$/),
    free: numbered(/^free-(\d+)\.seg$/),
    gone: numbered(/^gone-(\d+)\.seg$/),
    spilled: numbered(/^(\d+)-\d+\.frame$/, spilled),
  };
}

/** Reads what earlier lives left in the directory. */
export async function openShelf(options: ShelfOptions): Promise<Shelf> {
  const { dir, segmentBytes, liveBytesMax } = options;
  if (liveBytesMax < segmentBytes) {
    throw new CodedError("invalid_argument", "open segments: not one of them fits the bound", {
      field: "segments.liveBytesMax",
      remedy: `Set it to segments.segmentBytes, which is ${segmentBytes}, or more.`,
    });
  }
  const disk = options.disk ?? nodeDisk;
  const newSalt = options.newSalt ?? (() => randomBytes(8).readBigUInt64LE());
  await disk.makeDirectory(dir);
  const { used, free, gone, spilled } = await readNumbers(disk, dir);
  let lastNumber = Math.max(0, ...free, ...used, ...gone, ...spilled);
  const freeFiles = createFreeFiles(free);
  /** Closed, and not under the name of a free or gone file yet. */
  const leaving = new Set<Segment>();
  const room = createRoom(options, () => shelf.segments.size + leaving.size);

  const rename = async (segment: Segment): Promise<void> => {
    const { number, path, tainted } = segment;
    const aside = (tainted ? gonePath : freePath)(dir, number);
    await disk.rename(path, aside).catch(async (cause: unknown) => {
      // An earlier try may have got through, although it was answered with an error.
      const isAside = isSystemError(cause, "ENOENT") && (await disk.readdir(dir)).includes(basename(aside));
      if (leaving.has(segment) && !isAside) throw cause;
    });
    // Of several who try only one hands it on.
    if (!leaving.delete(segment)) return;
    if (tainted) gone.push(number);
    else freeFiles.add(number);
    room.freed();
  };
  const removeUnneeded = async (): Promise<void> => {
    const unlink = (number: number): Promise<void> =>
      disk.unlink(freePath(dir, number)).catch((cause: unknown) => {
        freeFiles.add(number);
        throw cause;
      });
    await Promise.all(freeFiles.takeUnneeded().map(unlink));
  };
  const recycleIfDone = async (segment: Segment): Promise<void> => {
    if (!segment.sealed || segment.live > 0 || !shelf.segments.delete(segment.number)) return;
    leaving.add(segment);
    // No frame lives in it, so no error of what was written there matters any more.
    await segment.file.close().catch(() => undefined);
    await rename(segment).catch(() => undefined);
  };
  const putAway = async (): Promise<void> => {
    const tried = await Promise.allSettled([...[...leaving].map(rename), removeUnneeded()]);
    for (const one of tried) if (one.status === "rejected") throw one.reason;
  };
  /** Not before another is open: the highest number must stay, a restart knows numbers only by names. */
  const removeGone = async (): Promise<void> => {
    for (const past of gone.splice(0)) {
      await disk.unlink(gonePath(dir, past)).catch(() => void gone.push(past));
    }
  };

  /** A free file gets the name; false where there is none. */
  const recycle = async (path: string): Promise<boolean> => {
    const number = freeFiles.take();
    if (number === undefined) return false;
    await disk.rename(freePath(dir, number), path).catch((cause: unknown) => {
      freeFiles.add(number);
      throw orFull(cause);
    });
    return true;
  };
  const openNext = async (writtenBy: WrittenBy, waitMs: number): Promise<Segment> => {
    await room.take(waitMs);
    try {
      lastNumber += 1;
      const number = lastNumber;
      const path = segmentPath(dir, number);
      const salt = newSalt();
      const head = encodeSegmentHead({ segment: number, writtenBy, salt });
      const isRecycled = await recycle(path);
      const file = await prepare(disk, { dir, path, isRecycled, segmentBytes, head });
      const unused = { end: segmentHeadBytes, live: 0, sealed: false, tainted: false };
      const segment = { number, path, file, salt, ...unused };
      shelf.segments.set(number, segment);
      await removeGone();
      return segment;
    } finally {
      room.taken();
    }
  };

  const shelf: Shelf = {
    segments: new Map(),
    recovered: [],
    damaged: 0,
    isOurs: options.isOurs ?? (() => true),
    openNext,
    recycleIfDone,
    putAway,
    liveBytes: room.liveBytes,
    count: room.count,
    close: async () => {
      await Promise.all([...shelf.segments.values()].map((segment) => segment.file.close()));
      shelf.segments.clear();
    },
  };
  for (const number of used) {
    const path = segmentPath(dir, number);
    const file = await disk.open(path, "existing");
    // What the last life wrote and did not sync may be seen here and be gone after a power cut.
    await file.fdatasync();
    const { isOurs } = shelf;
    const scanned = await scanSegment(file, { segment: number, isOurs });
    const { frames, damages, end, writtenBy, salt } = scanned;
    shelf.damaged += damages.length;
    for (const damage of damages) await quarantine(disk, { dir, file, damage });
    shelf.recovered.push(...frames);
    const tainted = writtenBy !== "owner";
    const segment: Segment = { number, path, file, salt, end, live: frames.length, sealed: true, tainted };
    shelf.segments.set(number, segment);
    await recycleIfDone(segment);
  }
  return shelf;
}

/** Numbers of free files: what was freed last is taken first, so the others show what is not needed. */
function createFreeFiles(numbers: number[]) {
  let looks = 0;
  /** Fewest that were free at once since the files were last counted. */
  let fewest = numbers.length;
  return {
    add: (number: number): void => {
      numbers.push(number);
      numbers.sort((a, b) => a - b);
    },
    take: (): number | undefined => {
      const number = numbers.pop();
      fewest = Math.min(fewest, numbers.length);
      return number;
    },
    /** Asked every second; answers every minute. */
    takeUnneeded: (): number[] => {
      looks += 1;
      if (looks < unneededLooks) return [];
      const unneeded = numbers.splice(0, Math.max(0, fewest - freeFilesMin));
      looks = 0;
      fewest = numbers.length;
      return unneeded;
    },
  };
}

interface Preparation {
  dir: string;
  path: string;
  isRecycled: boolean;
  segmentBytes: number;
  head: Buffer;
}

/** A file with all its blocks and its head; a new one where none was recycled. */
async function prepare(
  disk: Disk,
  { dir, path, isRecycled, segmentBytes, head }: Preparation,
): Promise<DiskFile> {
  let file: DiskFile | undefined;
  try {
    file = await disk.open(path, isRecycled ? "existing" : "create");
    // A recycled file may be smaller, if that was set differently in its former life.
    await file.allocate(segmentBytes);
    await writeAll(file, [head], 0);
    await disk.fsyncDir(dir);
    return file;
  } catch (cause) {
    await file?.close();
    if (isSystemError(cause, "ENOSPC")) await disk.unlink(path);
    throw orFull(cause);
  }
}

const orFull = (cause: unknown): unknown => (isSystemError(cause, "ENOSPC") ? diskFull(cause) : cause);

/** A full disk is no broken one: nothing is half done, and it goes on when there is room. */
export function diskFull(cause: unknown): CodedError {
  return new CodedError("resource_exhausted", "append to segments: the disk is full", {
    subject: "segments:disk",
    remedy: "Free space on the segment volume.",
    retryAfterMs: 1_000,
    cause,
  });
}

/** Room for one more segment within the bound, and who waits for it. */
function createRoom(options: ShelfOptions, segments: () => number) {
  const { segmentBytes, liveBytesMax } = options;
  const waiting: (() => void)[] = [];
  let opening = 0;
  let counted = 0;
  const liveBytes = (): number => segments() * segmentBytes + counted;
  const isFull = (): boolean => liveBytes() + (opening + 1) * segmentBytes > liveBytesMax;
  /** Several may wait for one segment: who comes too late waits on. */
  const untilRoom = async (waitMs: number): Promise<void> => {
    let isOver = waitMs <= 0;
    const timer = setTimeout(() => {
      isOver = true;
      wakeAll();
    }, waitMs);
    while (isFull() && !isOver) await new Promise<void>((wake) => waiting.push(wake));
    clearTimeout(timer);
  };
  const wakeAll = (): void => {
    for (const wake of waiting.splice(0)) wake();
  };
  return {
    liveBytes,
    count: (bytes: number): void => void (counted += bytes),
    freed: wakeAll,
    take: async (waitMs: number): Promise<void> => {
      await untilRoom(waitMs);
      if (isFull()) {
        throw new CodedError("resource_exhausted", "append to segments: live segments are at their bound", {
          field: "segments.liveBytesMax",
          subject: "segments:room",
          remedy: "Wait until consumers catch up, or raise the bound.",
          retryAfterMs: 200,
        });
      }
      opening += 1;
    },
    taken: (): void => void (opening -= 1),
  };
}

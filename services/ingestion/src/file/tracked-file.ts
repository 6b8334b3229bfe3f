import type { BigIntStats } from "node:fs";
import { CodedError } from "@millrace/errors";
import { truncated } from "./file-reader.js";
import type { LineFramer } from "./lines/line-framer.js";

/** A file as the source knows it between two reads. Its id stays when its name changes. */
export interface TrackedFile {
  /** By device, inode and birth time. */
  readonly id: string;
  /** What its positions are counted under; empty until it is known which life of the file this is. */
  key: string;
  /** What it begins with, as far as its life is told by it. */
  head: Buffer;
  /** Relative to the source's directory, as last seen. */
  name: string;
  /** Where reading goes on; absent until buffer has said where to resume. */
  framer: LineFramer | undefined;
  /** As last seen, times the passes of a repeated file. */
  size: number;
  mtimeNs: bigint;
  /** When size and mtime were first seen as they are. */
  unchangedSinceMs: number;
  /**
   * The size up to which the last read went; what lies behind the framer's position is an incomplete line.
   */
  readTo: number;
  /** Everything before is appended. */
  appendedTo: number;
  error: CodedError | undefined;
  /** Of a repeated file its size when it was first read: what a position means. */
  passBytes: number | undefined;
  /** As it lies in the directory, where its messages are counted in something else: decoded. */
  storedBytes: number;
  /** Taken only once it has come to rest: as one message, or as what is complete only as a whole. */
  isTakenAtRest: boolean;
  /** Of a compressed file that could not be decoded: as long as it stays, it is not tried again. */
  brokenMtimeNs: bigint | undefined;
  /** Of a file that is one message: when it was changed that was taken. */
  takenMtimeNs: bigint | undefined;
}

export function trackFile(id: string, name: string, isTakenAtRest = false): TrackedFile {
  return {
    id,
    key: "",
    head: Buffer.alloc(0),
    name,
    framer: undefined,
    size: 0,
    mtimeNs: -1n,
    unchangedSinceMs: 0,
    readTo: 0,
    appendedTo: 0,
    error: undefined,
    passBytes: undefined,
    storedBytes: 0,
    isTakenAtRest,
    brokenMtimeNs: undefined,
    takenMtimeNs: undefined,
  };
}

/** Notes what a scan saw of a file. */
export function observe(
  file: TrackedFile,
  seen: { name: string; stats: BigIntStats; repeat: number; nowMs: number },
): void {
  const storedBytes = Number(seen.stats.size);
  file.name = seen.name;
  if (storedBytes === file.storedBytes && seen.stats.mtimeNs === file.mtimeNs) return;
  file.storedBytes = storedBytes;
  file.size = storedBytes * seen.repeat;
  file.mtimeNs = seen.stats.mtimeNs;
  file.unchangedSinceMs = seen.nowMs;
}

/** An incomplete last line of a file that has not changed for `settleMs` is taken as complete. */
export function isTailDue(file: TrackedFile, nowMs: number, settleMs: number): boolean {
  return nowMs - file.unchangedSinceMs >= settleMs;
}

/** Whether there is anything to read; a file that failed is tried again at each scan. */
export function hasWork(file: TrackedFile, nowMs: number, settleMs: number): boolean {
  if (file.isTakenAtRest && !isTailDue(file, nowMs, settleMs)) return false;
  if (file.brokenMtimeNs === file.mtimeNs) return false;
  if (file.size === 0 && file.framer === undefined) return false;
  if (file.framer === undefined || file.error !== undefined) return true;
  if (file.size !== file.readTo || isChanged(file)) return true;
  return file.framer.framedTo < file.size && isTailDue(file, nowMs, settleMs);
}

/** Of a file that is one message. */
const isChanged = ({ takenMtimeNs, mtimeNs }: TrackedFile): boolean =>
  takenMtimeNs !== undefined && takenMtimeNs !== mtimeNs;

/** Whether all of the file, an incomplete last line included, is read and appended. */
export function isFinished(file: TrackedFile): boolean {
  return file.size === 0 || (file.framer !== undefined && file.appendedTo >= file.size);
}

/** Whether the file is not what was read before: cut, begun anew or, where it is one message, changed. */
export function isNewLife(
  file: TrackedFile,
  seen: { head: Buffer; size: number; isOnePiece: boolean },
): boolean {
  const { framer, head } = file;
  if (framer === undefined) return false;
  if (seen.isOnePiece) return isChanged(file);
  return seen.size < framer.position || !seen.head.subarray(0, head.length).equals(head);
}

/** Forgets what was read; `key` tells which life has ended. */
export function beginLife(file: TrackedFile): void {
  file.framer = undefined;
  file.readTo = 0;
  file.appendedTo = 0;
  file.takenMtimeNs = undefined;
}

/** Of a file that is read repeatedly: a shorter one is not the file it was. */
export function checkLength(file: TrackedFile, framer: LineFramer, size: number): void {
  if (size >= framer.position) return;
  const error = truncated(size, framer.position);
  throw new CodedError(error.code, `${file.name}: ${error.message}`, {
    ...(error.remedy && { remedy: error.remedy }),
  });
}

import type { BigIntStats } from "node:fs";
import { CodedError } from "@millrace/errors";
import { truncated } from "./file-reader.js";
import type { LineFramer } from "./lines/line-framer.js";

/** A file as the source knows it between two reads. Its key stays when its name changes. */
export interface TrackedFile {
  readonly key: string;
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
}

export function trackFile(key: string, name: string): TrackedFile {
  return {
    key,
    name,
    framer: undefined,
    size: 0,
    mtimeNs: -1n,
    unchangedSinceMs: 0,
    readTo: 0,
    appendedTo: 0,
    error: undefined,
    passBytes: undefined,
  };
}

/** Notes what a scan saw of a file. */
export function observe(
  file: TrackedFile,
  seen: { name: string; stats: BigIntStats; repeat: number; nowMs: number },
): void {
  const size = Number(seen.stats.size) * seen.repeat;
  file.name = seen.name;
  if (size === file.size && seen.stats.mtimeNs === file.mtimeNs) return;
  file.size = size;
  file.mtimeNs = seen.stats.mtimeNs;
  file.unchangedSinceMs = seen.nowMs;
}

/** An incomplete last line of a file that has not changed for `settleMs` is taken as complete. */
export function isTailDue(file: TrackedFile, nowMs: number, settleMs: number): boolean {
  return nowMs - file.unchangedSinceMs >= settleMs;
}

/** Whether there is anything to read; a file that failed is tried again at each scan. */
export function hasWork(file: TrackedFile, nowMs: number, settleMs: number): boolean {
  if (file.framer === undefined || file.error !== undefined) return true;
  if (file.size !== file.readTo) return true;
  return file.framer.framedTo < file.size && isTailDue(file, nowMs, settleMs);
}

/** Whether all of the file, an incomplete last line included, is read and appended. */
export function isFinished(file: TrackedFile): boolean {
  return file.framer !== undefined && file.appendedTo >= file.size;
}

/** A file that is shorter than what was read of it is not the file it was. */
export function checkLength(file: TrackedFile, framer: LineFramer, size: number): void {
  if (size >= framer.position) return;
  const error = truncated(size, framer.position);
  throw new CodedError(error.code, `${file.name}: ${error.message}`, {
    ...(error.remedy && { remedy: error.remedy }),
  });
}

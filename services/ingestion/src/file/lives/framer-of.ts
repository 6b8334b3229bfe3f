import { type Content, createFramer, type FileFormat } from "../content/open-content.js";
import type { FrameLimits, LineFramer } from "../lines/line-framer.js";
import { beginLife, checkLength, isNewLife, type TrackedFile } from "../tracked-file.js";
import { findLife, headless, isHeadless, readHead } from "./file-life.js";

export interface FramerOptions {
  format: FileFormat;
  limits: FrameLimits;
  /** A repeated file must stay as it is: another life of it is an error. */
  isRepeated: boolean;
  /** What it begins with has come to rest, if it is not complete. */
  isSettled: boolean;
  lastPosition(key: string): Promise<number>;
}

/** Where reading goes on: as before, or in the file's present life. Undefined: that can't be told yet. */
export async function framerOf(
  file: TrackedFile,
  content: Content,
  options: FramerOptions,
): Promise<LineFramer | undefined> {
  const { format, isRepeated } = options;
  const { size } = content;
  const isOnePiece = format.kind === "whole";
  // What is decoded, one message or repeated is complete when it is read, and not told by how it begins.
  const isComplete = file.isTakenAtRest || isRepeated;
  const { head, isWhole } = isComplete
    ? { head: headless, isWhole: true }
    : await readHead(content.bytes, size);
  if (isRepeated && file.framer !== undefined) checkLength(file, file.framer, size);
  else if (isNewLife(file, { head, size, isOnePiece })) beginLife(file);
  if (file.framer !== undefined) return file.framer;
  if (size === 0 || !(isWhole || options.isSettled)) return undefined;
  const { lastPosition, limits } = options;
  const known = isWhole && !(await isHeadless({ id: file.id, lastPosition })) ? head : headless;
  const ended = file.key === "" ? undefined : file.key;
  const { key, position } = await findLife({
    id: file.id,
    head: known,
    size,
    isOnePiece,
    ended,
    lastPosition,
  });
  const framer = await createFramer(format, { limits, position, size, bytes: content.bytes });
  if (framer === undefined) return undefined;
  file.key = key;
  file.head = known;
  return framer;
}

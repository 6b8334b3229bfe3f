import { crc32, crc32OfParts, isSystemError, writeAll } from "@millrace/files";
import { CodedError } from "@millrace/errors";
import { type Body, partsOf } from "@millrace/envelope";
import type { DiskFile } from "../disk/disk.js";
import { encodeFrameHeader, encodeMeta, frameBytes, frameHeaderBytes } from "./frame.js";
import { createGroupSync } from "./group-sync.js";
import { diskFull } from "./segment-shelf.js";

export interface FrameToAppend {
  id: string;
  subject: string;
  /** The batch without its body, protobuf. */
  batch: Uint8Array;
  body: Body;
  /** CRC-32 of the body, where it is known: one pass less. */
  bodyCrc32?: number | undefined;
  /**
   * Throws where the body is not any more what it was when it was read. Runs after the checksum is taken:
   * what changes later does not fit the checksum, and is never taken for the body.
   */
  verify?: (() => void | Promise<void>) | undefined;
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

/** Room for a frame in a segment. */
export interface Room {
  file: DiskFile;
  segment: number;
  /** Of this life of the file. */
  salt: bigint;
  offset: number;
}

/** A frame whose size and checksum are known. */
export interface LaidOut {
  id: string;
  meta: Buffer;
  body: readonly Uint8Array[];
  bodyBytes: number;
  bodyCrc: number;
  /** Of the whole frame. */
  bytes: number;
}

/** Before room is taken: where `verify` throws, no hole is left. */
export async function layOut(frame: FrameToAppend): Promise<LaidOut> {
  const meta = encodeMeta(frame.subject, frame.batch);
  const body = partsOf(frame.body);
  const bodyBytes = body.reduce((sum, part) => sum + part.length, 0);
  const bodyCrc = frame.bodyCrc32 ?? crc32OfParts(body);
  await frame.verify?.();
  return { id: frame.id, meta, body, bodyBytes, bodyCrc, bytes: frameBytes(meta.length, bodyBytes) };
}

export interface FrameWriter {
  /** Resolves when the frame is durable. Errors: `resource_exhausted` when the disk is full. */
  write(laidOut: LaidOut, room: Room): Promise<FramePlace>;
  /** Set after the first failed write or sync, for good. */
  broken(): CodedError | undefined;
  /** Says so of a failure elsewhere, such as while a segment was opened. */
  breakWith(cause: unknown): CodedError;
}

/** Frames of one writer, in whichever segments: they share syncs, and the first failure is everybody's. */
export function createFrameWriter(onBroken?: (error: CodedError) => void): FrameWriter {
  const group = createGroupSync<DiskFile>();
  let broken: CodedError | undefined;
  const breakWith = (cause: unknown): CodedError => {
    if (broken === undefined) {
      // Not an error of any batch: whoever holds one keeps it until the process is started anew.
      broken = new CodedError("unavailable", "append to segments: the disk failed", { cause });
      onBroken?.(broken);
    }
    return broken;
  };
  return {
    broken: () => broken,
    breakWith,
    write: async ({ id, meta, body, bodyBytes, bodyCrc }, { file, segment, salt, offset }) => {
      const header = encodeFrameHeader({
        segment,
        metaBytes: meta.length,
        bodyBytes,
        metaCrc: crc32(meta),
        bodyCrc,
        id,
        salt,
      });
      try {
        await writeAll(file, [header, meta, ...body], offset);
      } catch (cause) {
        throw isSystemError(cause, "ENOSPC") ? diskFull(cause) : breakWith(cause);
      }
      // After a failed sync nothing may be called durable any more.
      await group.sync(file).catch((cause: unknown) => {
        throw breakWith(cause);
      });
      return {
        segment,
        frameOffset: offset,
        offset: offset + frameHeaderBytes + meta.length,
        length: bodyBytes,
        crc32: bodyCrc,
      };
    },
  };
}

import { join } from "node:path";
import { crc32, writeAll } from "@millrace/files";
import type { Disk } from "../disk/disk.js";
import {
  decodeFrameHeader,
  decodeMeta,
  earlierBuild,
  frameBytes,
  frameHeaderBytes,
  isEarlierFrame,
} from "../log/frame.js";
import type { FramePlace } from "../log/frame-writer.js";
import { quarantine } from "../log/quarantine.js";
import type { Damage, IsOurs, RecoveredFrame } from "../log/scan.js";
import type { Segment } from "../log/segment-shelf.js";

/*
 * Frames that outlived their segment, one a file:
 *
 *     <log>/spill/<segment>-<offset of the body>.frame
 *
 * The file is the frame as it stood in the segment; its checksums say whether it is whole.
 */
export const spillDir = "spill";

export function spillName({ segment, offset }: Pick<FramePlace, "segment" | "offset">): string {
  return `${segment}-${offset}.frame`;
}

/** A spilled frame in memory: where its parts are, if it is whole. */
function partsOf(
  bytes: Buffer,
  salt?: bigint,
): { id: string; meta: Buffer; body: Buffer; bodyCrc: number } | undefined {
  const header = decodeFrameHeader(bytes, salt);
  if (header === undefined) return undefined;
  const meta = bytes.subarray(frameHeaderBytes, frameHeaderBytes + header.metaBytes);
  const body = bytes.subarray(
    frameHeaderBytes + header.metaBytes,
    frameHeaderBytes + header.metaBytes + header.bodyBytes,
  );
  const isWhole = crc32(meta) === header.metaCrc && crc32(body) === header.bodyCrc;
  return isWhole ? { id: header.id, meta, body, bodyCrc: header.bodyCrc } : undefined;
}

/** Its body; undefined where it is not whole. */
export function spilledBody(bytes: Buffer): Buffer | undefined {
  return partsOf(bytes)?.body;
}

export interface SpillShelf {
  /** Copies a frame aside, durable but for its name; its bytes. */
  write(segment: Segment, place: FramePlace): Promise<number>;
  /** Makes the names of all written ones last. */
  sync(): Promise<void>;
  remove(place: FramePlace): Promise<void>;
  /**
   * What earlier lives left, with its bytes. What is not whole is removed: its segment still had it then.
   * What is whole and not of this log goes to quarantine, and is counted.
   *
   * Errors: `failed_precondition` where an earlier build wrote one.
   */
  recover(isOurs: IsOurs): Promise<Recovered>;
}

export interface Recovered {
  found: { frame: RecoveredFrame; bytes: number }[];
  damaged: number;
}

export function createSpillShelf(disk: Disk, dir: string): SpillShelf {
  const folder = join(dir, spillDir);
  const pathOf = (place: FramePlace): string => join(folder, spillName(place));

  const read = async (path: string): Promise<Buffer> => {
    const file = await disk.open(path, "existing");
    try {
      const bytes = Buffer.alloc(await file.size());
      await file.read(bytes, 0);
      return bytes;
    } finally {
      await file.close();
    }
  };
  const putAside = async (path: string, { segment, offset, length }: Damage): Promise<void> => {
    const file = await disk.open(path, "existing");
    // As a file of its own it begins at 0.
    const whole = { ...file, read: (bytes: Uint8Array) => file.read(bytes, 0) };
    await quarantine(disk, { dir, file: whole, damage: { segment, offset, length } });
    await file.close();
  };
  return {
    write: async (segment, place) => {
      await disk.makeDirectory(folder);
      const metaBytes = place.offset - place.frameOffset - frameHeaderBytes;
      const bytes = Buffer.alloc(frameBytes(metaBytes, place.length));
      await segment.file.read(bytes, place.frameOffset);
      if (partsOf(bytes, segment.salt) === undefined)
        throw new Error(`frame of segment ${place.segment} is damaged`);
      // What an earlier try left under this name may be half of it.
      await disk.unlink(pathOf(place));
      const file = await disk.open(pathOf(place), "create");
      try {
        await writeAll(file, [bytes], 0);
        await file.fdatasync();
      } finally {
        await file.close();
      }
      return bytes.length;
    },
    sync: () => disk.fsyncDir(folder),
    remove: (place) => disk.unlink(pathOf(place)),
    recover: async (isOurs) => {
      let damaged = 0;
      const found: Recovered["found"] = [];
      for (const name of await disk.readdir(folder)) {
        const named = /^(\d+)-(\d+)\.frame$/.exec(name);
        if (named === null) continue;
        const bytes = await read(join(folder, name));
        if (isEarlierFrame(bytes)) throw earlierBuild(`${spillDir}/${name}`);
        const parts = partsOf(bytes);
        const place = { segment: Number(named[1]), offset: Number(named[2]) };
        const frame = parts && frameOf(parts, place.segment, place.offset);
        if (frame !== undefined && isOurs(frame)) {
          found.push({ frame, bytes: bytes.length });
          continue;
        }
        if (parts !== undefined) {
          damaged += 1;
          await putAside(join(folder, name), { ...place, length: bytes.length });
        }
        await disk.unlink(join(folder, name));
      }
      return { found, damaged };
    },
  };
}

function frameOf(
  { id, meta, body, bodyCrc }: { id: string; meta: Buffer; body: Buffer; bodyCrc: number },
  segment: number,
  offset: number,
): RecoveredFrame | undefined {
  const decoded = decodeMeta(meta);
  if (decoded === undefined) return undefined;
  const { subject, batch } = decoded;
  const frameOffset = offset - frameHeaderBytes - meta.length;
  const place = { segment, frameOffset, offset, length: body.length, crc32: bodyCrc };
  return { id, subject, batch: Uint8Array.from(batch), place };
}

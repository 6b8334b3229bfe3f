import { crc32 } from "node:zlib";
import { decodeFrameHeader, decodeMeta, type FrameHeader, frameBytes, frameHeaderBytes } from "./frame.js";
import type { SegmentFile } from "./segment-file.js";
import type { FramePlace } from "./segment-log.js";

export interface RecoveredFrame {
  id: string;
  subject: string;
  /** The batch without its body, protobuf. */
  batch: Uint8Array;
  place: FramePlace;
}

export interface Scanned {
  frames: RecoveredFrame[];
  /**
   * Places where something else lies than what was written, with sound frames after them or a sound header
   * before.
   */
  damaged: number;
  /** Where the last frame ends. */
  end: number;
}

/** Read at once when a frame is looked for; also what a look into an empty tail costs at a time. */
const windowBytes = 1024 * 1024;

/**
 * Reads the frames of a segment. Where no sound header stands, the next one is looked for at every place
 * where a frame may begin: a write that failed or a flipped bit costs one frame, never the ones behind it.
 * What lies behind the last sound frame is a torn tail, or what the file held in its former life.
 */
export async function scanSegment(file: SegmentFile, segment: number): Promise<Scanned> {
  const scanned: Scanned = { frames: [], damaged: 0, end: 0 };
  const { size } = await file.stat();
  for (;;) {
    const found = await findHeader(file, { segment, size, from: scanned.end });
    if (found === undefined) return scanned;
    if (found.at > scanned.end) scanned.damaged++;
    scanned.end = found.at + frameBytes(found.header.metaBytes, found.header.bodyBytes);
    if (found.header.freed) continue;
    const frame = await readFrame(file, found);
    if (frame === undefined) scanned.damaged++;
    else scanned.frames.push(frame);
  }
}

interface Found {
  at: number;
  header: FrameHeader;
}

/** The first sound header of this segment at or after `from`. */
async function findHeader(
  file: SegmentFile,
  among: { segment: number; size: number; from: number },
): Promise<Found | undefined> {
  const { segment, size } = among;
  const head = Buffer.alloc(frameHeaderBytes);
  const { bytesRead } = await file.read(head, 0, frameHeaderBytes, among.from);
  const first =
    bytesRead < frameHeaderBytes ? undefined : headerAt(head, 0, { segment, size, base: among.from });
  if (first !== undefined) return first;
  const window = Buffer.alloc(windowBytes);
  for (let base = among.from; base + frameHeaderBytes <= size; base += windowBytes - frameHeaderBytes) {
    const { bytesRead: length } = await file.read(window, 0, windowBytes, base);
    for (let at = 0; at + frameHeaderBytes <= length; at += 8) {
      const found = headerAt(window, at, { segment, size, base });
      if (found !== undefined) return found;
    }
  }
  return undefined;
}

function headerAt(
  bytes: Buffer,
  offset: number,
  among: { segment: number; size: number; base: number },
): Found | undefined {
  const header = decodeFrameHeader(bytes.subarray(offset, offset + frameHeaderBytes));
  if (header === undefined || header.segment !== among.segment) return undefined;
  const at = among.base + offset;
  return at + frameBytes(header.metaBytes, header.bodyBytes) > among.size ? undefined : { at, header };
}

/** Undefined when the content is not what was written. */
async function readFrame(file: SegmentFile, { at, header }: Found): Promise<RecoveredFrame | undefined> {
  const content = Buffer.allocUnsafe(header.metaBytes + header.bodyBytes);
  await file.read(content, 0, content.length, at + frameHeaderBytes);
  const meta = content.subarray(0, header.metaBytes);
  const body = content.subarray(header.metaBytes);
  if (crc32(meta) !== header.metaCrc || crc32(body) !== header.bodyCrc) return undefined;
  const { subject, batch } = decodeMeta(meta);
  return {
    id: header.id,
    subject,
    batch: Uint8Array.from(batch),
    place: {
      segment: header.segment,
      frameOffset: at,
      offset: at + frameHeaderBytes + header.metaBytes,
      length: header.bodyBytes,
      crc32: header.bodyCrc,
    },
  };
}

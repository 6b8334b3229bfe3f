import { crc32 } from "@millrace/files";
import type { DiskFile } from "../disk/disk.js";
import {
  decodeFrameHeader,
  decodeMeta,
  decodeSegmentHead,
  type FrameHeader,
  frameBytes,
  frameHeaderBytes,
  segmentHeadBytes,
  type WrittenBy,
} from "./frame.js";
import type { FramePlace } from "./frame-writer.js";

export interface RecoveredFrame {
  id: string;
  subject: string;
  /** The batch without its body, protobuf. */
  batch: Uint8Array;
  place: FramePlace;
}

/** Bytes of a segment that are not what was written there. */
export interface Damage {
  segment: number;
  offset: number;
  length: number;
}

export interface Scanned {
  frames: RecoveredFrame[];
  /**
   * Places where something else lies than what was written, with sound frames after them or a sound header
   * before.
   */
  damages: Damage[];
  /** Where the last frame ends. */
  end: number;
  /** Undefined where the head of the file is not sound: whoever wrote it. */
  writtenBy: WrittenBy | undefined;
}

/** Read at once when a frame is looked for; also what a look into an empty tail costs at a time. */
const windowBytes = 1024 * 1024;

/**
 * Reads the frames of a segment. Where no sound header stands, the next one is looked for at every place
 * where a frame may begin: a write that failed or a flipped bit costs one frame, never the ones behind it.
 * What lies behind the last sound frame is a torn tail, or what the file held in its former life. Frames that
 * `isKnown` says of their place are passed over.
 */
export async function scanSegment(
  file: DiskFile,
  segment: number,
  isKnown: (frameOffset: number) => boolean = () => false,
): Promise<Scanned> {
  const head = await readHead(file, segment);
  const end = head === undefined ? 0 : segmentHeadBytes;
  const scanned: Scanned = { frames: [], damages: [], end, writtenBy: head };
  const size = await file.size();
  for (;;) {
    const found = await findHeader(file, { segment, size, from: scanned.end });
    if (found === undefined) return scanned;
    const { at, header } = found;
    if (at > scanned.end) scanned.damages.push({ segment, offset: scanned.end, length: at - scanned.end });
    const length = frameBytes(header.metaBytes, header.bodyBytes);
    scanned.end = at + length;
    if (header.freed || isKnown(at)) continue;
    const frame = await readFrame(file, found);
    if (frame === undefined) scanned.damages.push({ segment, offset: at, length });
    else scanned.frames.push(frame);
  }
}

async function readHead(file: DiskFile, segment: number): Promise<WrittenBy | undefined> {
  const bytes = Buffer.alloc(segmentHeadBytes);
  await file.read(bytes, 0);
  const head = decodeSegmentHead(bytes);
  return head?.segment === segment ? head.writtenBy : undefined;
}

interface Found {
  at: number;
  header: FrameHeader;
}

/** The first sound header of this segment at or after `from`. */
async function findHeader(
  file: DiskFile,
  among: { segment: number; size: number; from: number },
): Promise<Found | undefined> {
  const { segment, size } = among;
  const head = Buffer.alloc(frameHeaderBytes);
  const bytesRead = await file.read(head, among.from);
  const first =
    bytesRead < frameHeaderBytes ? undefined : headerAt(head, 0, { segment, size, base: among.from });
  if (first !== undefined) return first;
  const window = Buffer.alloc(windowBytes);
  for (let base = among.from; base + frameHeaderBytes <= size; base += windowBytes - frameHeaderBytes) {
    const length = await file.read(window, base);
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
async function readFrame(file: DiskFile, { at, header }: Found): Promise<RecoveredFrame | undefined> {
  const content = Buffer.allocUnsafe(header.metaBytes + header.bodyBytes);
  await file.read(content, at + frameHeaderBytes);
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

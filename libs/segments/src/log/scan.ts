import { crc32 } from "@millrace/files";
import type { DiskFile } from "../disk/disk.js";
import {
  decodeFrameHeader,
  decodeMeta,
  decodeSegmentHead,
  earlierBuild,
  type FrameHeader,
  frameBytes,
  frameHeaderBytes,
  isEarlierHead,
  type SegmentHead,
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
  salt: bigint;
}

/** Whether the meta of a frame is one that its log writes. */
export type IsOurs = (meta: { subject: string; batch: Uint8Array }) => boolean;

export interface ScanOptions {
  segment: number;
  /** Of this life of the file, where it is known; otherwise it is read from the head. */
  salt?: bigint;
  isOurs: IsOurs;
  /** Frames of which it says so, by their place, are passed over. */
  isKnown?: (frameOffset: number) => boolean;
}

/** Read at once when a frame is looked for; also what a look into an empty tail costs at a time. */
const windowBytes = 1024 * 1024;

/**
 * Reads the frames of a segment. Where no sound header stands, the next one is looked for at every place
 * where a frame may begin: a write that failed or a flipped bit costs one frame, never the ones behind it.
 * What lies behind the last sound frame is a torn tail, or what the file held in its former life. Where
 * nobody knows the salt no frame is taken: bodies may hold what looks like one.
 *
 * Errors: `failed_precondition` where an earlier build wrote the segment.
 */
export async function scanSegment(file: DiskFile, options: ScanOptions): Promise<Scanned> {
  const { segment, isOurs, isKnown = () => false } = options;
  const size = await file.size();
  const bytes = Buffer.alloc(segmentHeadBytes);
  await file.read(bytes, 0);
  if (isEarlierHead(bytes, segment)) throw earlierBuild(`segment ${segment}`);
  const head = decodeSegmentHead(bytes);
  const ownHead = head?.segment === segment ? head : undefined;
  const salt = options.salt ?? ownHead?.salt;
  if (salt === undefined) return scanUnknown(file, { segment, size, head });
  const scanned: Scanned = {
    frames: [],
    damages: [],
    end: segmentHeadBytes,
    writtenBy: ownHead?.writtenBy,
    salt,
  };
  for (;;) {
    const found = await findHeader(file, { segment, salt, size, from: scanned.end });
    if (found === undefined) return scanned;
    const { at, header } = found;
    if (at > scanned.end) scanned.damages.push({ segment, offset: scanned.end, length: at - scanned.end });
    const length = frameBytes(header.metaBytes, header.bodyBytes);
    scanned.end = at + length;
    if (header.freed || isKnown(at)) continue;
    const frame = await readFrame(file, found, isOurs);
    if (frame === undefined) scanned.damages.push({ segment, offset: at, length });
    else scanned.frames.push(frame);
  }
}

/** A life that did not come to its head has no frames; one that lost it is damage, as a whole. */
async function scanUnknown(
  file: DiskFile,
  { segment, size, head }: { segment: number; size: number; head: SegmentHead | undefined },
): Promise<Scanned> {
  const none = { frames: [], end: 0, writtenBy: undefined, salt: 0n };
  const found = head === undefined ? await findHeader(file, { segment, size, from: 0 }) : undefined;
  return { ...none, damages: found === undefined ? [] : [{ segment, offset: 0, length: size }] };
}

interface Found {
  at: number;
  header: FrameHeader;
}

interface Among {
  segment: number;
  /** Absent: of any life of that number. */
  salt?: bigint;
  size: number;
}

/** The first sound header of this segment at or after `from`. */
async function findHeader(file: DiskFile, among: Among & { from: number }): Promise<Found | undefined> {
  const { size } = among;
  const head = Buffer.alloc(frameHeaderBytes);
  const bytesRead = await file.read(head, among.from);
  const first = bytesRead < frameHeaderBytes ? undefined : headerAt(head, 0, { ...among, base: among.from });
  if (first !== undefined) return first;
  const window = Buffer.alloc(windowBytes);
  for (let base = among.from; base + frameHeaderBytes <= size; base += windowBytes - frameHeaderBytes) {
    const length = await file.read(window, base);
    const within = { ...among, base };
    for (let at = 0; at + frameHeaderBytes <= length; at += 8) {
      const found = headerAt(window, at, within);
      if (found !== undefined) return found;
    }
  }
  return undefined;
}

function headerAt(bytes: Buffer, offset: number, among: Among & { base: number }): Found | undefined {
  const header = decodeFrameHeader(bytes.subarray(offset, offset + frameHeaderBytes), among.salt);
  if (header === undefined || header.segment !== among.segment) return undefined;
  const at = among.base + offset;
  return at + frameBytes(header.metaBytes, header.bodyBytes) > among.size ? undefined : { at, header };
}

/** Undefined when the content is not what was written. */
async function readFrame(
  file: DiskFile,
  { at, header }: Found,
  isOurs: IsOurs,
): Promise<RecoveredFrame | undefined> {
  const content = Buffer.allocUnsafe(header.metaBytes + header.bodyBytes);
  await file.read(content, at + frameHeaderBytes);
  const meta = content.subarray(0, header.metaBytes);
  const body = content.subarray(header.metaBytes);
  if (crc32(meta) !== header.metaCrc || crc32(body) !== header.bodyCrc) return undefined;
  const decoded = decodeMeta(meta);
  if (decoded === undefined || !isOurs(decoded)) return undefined;
  const { subject, batch } = decoded;
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

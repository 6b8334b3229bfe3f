import { crc32 } from "@millrace/files";
import { assert } from "@millrace/errors";

/*
 * A segment file, all numbers little endian: its head, then frames back to back, aligned to 8 bytes, then
 * what its former life left.
 *
 *     0  u32  magic 'MRSG'
 *     4  u16  version (1)
 *     6  u16  who writes: 1 the log's owner, 2 a writer with a lease
 *     8  u64  segment number, which is the file's generation: written before any frame of its life, so who
 *               finds it unchanged after reading has read nothing of a later life
 *    16  u32  crc32 of bytes 0–15
 *    20  zero up to 64
 *
 * A frame:
 *
 *     0  u32  magic 'MRSF'
 *     4  u16  version (1)
 *     6  u16  state: 'Fr' freed, else live; rewritten in place when the frame is freed, so outside the
 *               checksum; far from zero, so that no flipped bit frees a frame
 *     8  u64  segment number: a recycled file still holds frames of its former life, told by it
 *    16  u32  length of meta      20  u32  length of body
 *    24  u32  crc32 of meta       28  u32  crc32 of body
 *    32  16 B batch id
 *    48  u32  crc32 of bytes 0–5 and 8–47
 *    52  u32  zero
 *    56  meta: u16 length of subject, subject, batch without its body (protobuf)
 *        body
 *        padding to 8 bytes
 *
 * See docs/specs/segments.md.
 */
export const frameHeaderBytes = 56;
/** Where the first frame begins. */
export const segmentHeadBytes = 64;
/** Where in a file its generation stands. */
export const generationOffset = 8;
const headMagic = 0x4753524d;
const magic = 0x4653524d;
const version = 1;
const stateOffset = 6;
const freedState = 0x7246;
/** What is written over a frame's state to free it. */
export const freedMark = Buffer.from([freedState & 0xff, freedState >> 8]);
/** And to take a frame that was freed into use again, while its segment is still leased. */
export const liveMark = Buffer.alloc(2);

export type WrittenBy = "owner" | "lease";

export interface SegmentHead {
  segment: number;
  writtenBy: WrittenBy;
}

export function encodeSegmentHead({ segment, writtenBy }: SegmentHead): Buffer {
  const bytes = Buffer.alloc(segmentHeadBytes);
  bytes.writeUInt32LE(headMagic, 0);
  bytes.writeUInt16LE(version, 4);
  bytes.writeUInt16LE(writtenBy === "owner" ? 1 : 2, 6);
  bytes.writeBigUInt64LE(BigInt(segment), generationOffset);
  bytes.writeUInt32LE(crc32(bytes.subarray(0, 16)), 16);
  return bytes;
}

/** Undefined: the file has no head, or it is damaged. */
export function decodeSegmentHead(bytes: Buffer): SegmentHead | undefined {
  if (bytes.length < 20 || bytes.readUInt32LE(0) !== headMagic || bytes.readUInt16LE(4) !== version)
    return undefined;
  if (bytes.readUInt32LE(16) !== crc32(bytes.subarray(0, 16))) return undefined;
  return {
    segment: Number(bytes.readBigUInt64LE(generationOffset)),
    writtenBy: bytes.readUInt16LE(6) === 2 ? "lease" : "owner",
  };
}

export interface FrameHeader {
  freed: boolean;
  segment: number;
  metaBytes: number;
  bodyBytes: number;
  metaCrc: number;
  bodyCrc: number;
  id: string;
}

export function frameBytes(metaBytes: number, bodyBytes: number): number {
  return (frameHeaderBytes + metaBytes + bodyBytes + 7) & ~7;
}

/** Where in the file the two bytes of a frame's state lie. */
export function stateAt(frameOffset: number): number {
  return frameOffset + stateOffset;
}

export function encodeFrameHeader(header: Omit<FrameHeader, "freed">): Buffer {
  const bytes = Buffer.alloc(frameHeaderBytes);
  bytes.writeUInt32LE(magic, 0);
  bytes.writeUInt16LE(version, 4);
  bytes.writeBigUInt64LE(BigInt(header.segment), 8);
  bytes.writeUInt32LE(header.metaBytes, 16);
  bytes.writeUInt32LE(header.bodyBytes, 20);
  bytes.writeUInt32LE(header.metaCrc, 24);
  bytes.writeUInt32LE(header.bodyCrc, 28);
  assert(header.id.length === 32, "a batch id is 32 hex digits");
  bytes.write(header.id, 32, "hex");
  bytes.writeUInt32LE(headerCrc(bytes), 48);
  return bytes;
}

/** Undefined: no frame of this format and version begins here. */
export function decodeFrameHeader(bytes: Buffer): FrameHeader | undefined {
  if (bytes.length < frameHeaderBytes || bytes.readUInt32LE(0) !== magic || bytes.readUInt16LE(4) !== version)
    return undefined;
  if (bytes.readUInt32LE(48) !== headerCrc(bytes)) return undefined;
  return {
    freed: bytes.readUInt16LE(stateOffset) === freedState,
    segment: Number(bytes.readBigUInt64LE(8)),
    metaBytes: bytes.readUInt32LE(16),
    bodyBytes: bytes.readUInt32LE(20),
    metaCrc: bytes.readUInt32LE(24),
    bodyCrc: bytes.readUInt32LE(28),
    id: bytes.toString("hex", 32, 48),
  };
}

function headerCrc(bytes: Buffer): number {
  return crc32(bytes.subarray(8, 48), crc32(bytes.subarray(0, stateOffset)));
}

export function encodeMeta(subject: string, batch: Uint8Array): Buffer {
  const subjectBytes = Buffer.from(subject);
  const meta = Buffer.allocUnsafe(2 + subjectBytes.length + batch.length);
  meta.writeUInt16LE(subjectBytes.length, 0);
  meta.set(subjectBytes, 2);
  meta.set(batch, 2 + subjectBytes.length);
  return meta;
}

export function decodeMeta(meta: Buffer): { subject: string; batch: Uint8Array } {
  const end = 2 + meta.readUInt16LE(0);
  return { subject: meta.toString("utf8", 2, end), batch: meta.subarray(end) };
}

import { crc32 } from "@millrace/files";
import { assert, CodedError } from "@millrace/errors";

/*
 * A segment file, all numbers little endian: its head, then frames back to back, aligned to 8 bytes, then
 * what its former life left.
 *
 *     0  u32  magic 'MRSG'
 *     4  u16  version (2)
 *     6  u16  who writes: 1 the log's owner, 2 a writer with a lease
 *     8  u64  segment number, which is the file's generation: written before any frame of its life, so who
 *               finds it unchanged after reading has read nothing of a later life
 *    16  u64  salt, random, new with each life: a frame is one only if it bears it, so bytes that somebody
 *               else chose, as the body of a batch, are never taken for a frame, in this life or a later one
 *    24  u32  crc32 of bytes 0–23
 *    32  the same 28 bytes again: without its salt a segment is lost
 *
 * A frame:
 *
 *     0  u32  magic 'MRSF'
 *     4  u16  version (2)
 *     6  u16  state: 'Fr' freed, else live; rewritten in place when the frame is freed, so outside the
 *               checksum; far from zero, so that no flipped bit frees a frame
 *     8  u64  segment number: a recycled file still holds frames of its former life, told by it
 *    16  u32  length of meta      20  u32  length of body
 *    24  u32  crc32 of meta       28  u32  crc32 of body
 *    32  16 B batch id
 *    48  u64  salt of the segment
 *    56  u32  crc32 of bytes 0–5 and 8–55
 *    60  u32  zero
 *    64  meta: u16 length of subject, subject, batch without its body (protobuf)
 *        body
 *        padding to 8 bytes
 *
 * See docs/specs/segments.md.
 */
export const frameHeaderBytes = 64;
/** Where the first frame begins. */
export const segmentHeadBytes = 64;
/** Where in a file its generation stands. */
export const generationOffset = 8;
const headMagic = 0x4753524d;
const magic = 0x4653524d;
const version = 2;
const copyOffset = 32;
const saltOffset = 48;
const crcOffset = 56;
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
  /** Of this life of the file. */
  salt: bigint;
}

export function encodeSegmentHead({ segment, writtenBy, salt }: SegmentHead): Buffer {
  const bytes = Buffer.alloc(segmentHeadBytes);
  bytes.writeUInt32LE(headMagic, 0);
  bytes.writeUInt16LE(version, 4);
  bytes.writeUInt16LE(writtenBy === "owner" ? 1 : 2, 6);
  bytes.writeBigUInt64LE(BigInt(segment), generationOffset);
  bytes.writeBigUInt64LE(salt, 16);
  bytes.writeUInt32LE(crc32(bytes.subarray(0, 24)), 24);
  bytes.copy(bytes, copyOffset, 0, 28);
  return bytes;
}

/** Undefined: the file has no head, or both of its copies are damaged. */
export function decodeSegmentHead(bytes: Buffer): SegmentHead | undefined {
  if (bytes.length < segmentHeadBytes) return undefined;
  return decodeHeadCopy(bytes) ?? decodeHeadCopy(bytes.subarray(copyOffset));
}

function decodeHeadCopy(bytes: Buffer): SegmentHead | undefined {
  if (bytes.readUInt32LE(0) !== headMagic || bytes.readUInt16LE(4) !== version) return undefined;
  if (bytes.readUInt32LE(24) !== crc32(bytes.subarray(0, 24))) return undefined;
  return {
    segment: Number(bytes.readBigUInt64LE(generationOffset)),
    writtenBy: bytes.readUInt16LE(6) === 2 ? "lease" : "owner",
    salt: bytes.readBigUInt64LE(16),
  };
}

/** An earlier build wrote this head for this segment: it knew no salts, so its frames can't be told. */
export function isEarlierHead(bytes: Buffer, segment: number): boolean {
  return (
    bytes.readUInt32LE(0) === headMagic &&
    bytes.readUInt16LE(4) < version &&
    Number(bytes.readBigUInt64LE(generationOffset)) === segment &&
    bytes.readUInt32LE(16) === crc32(bytes.subarray(0, 16))
  );
}

/** A frame of an earlier build begins here. */
export function isEarlierFrame(bytes: Buffer): boolean {
  return bytes.length >= 6 && bytes.readUInt32LE(0) === magic && bytes.readUInt16LE(4) < version;
}

/** What an earlier build left is neither read nor thrown away. */
export function earlierBuild(name: string): CodedError {
  return new CodedError("failed_precondition", `open segments: ${name} was written by an earlier build`, {
    remedy: "Let the earlier build drain its streams first, or begin anew: npm start -- --reset.",
  });
}

export interface FrameHeader {
  freed: boolean;
  segment: number;
  metaBytes: number;
  bodyBytes: number;
  metaCrc: number;
  bodyCrc: number;
  id: string;
  salt: bigint;
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
  bytes.writeBigUInt64LE(header.salt, saltOffset);
  bytes.writeUInt32LE(headerCrc(bytes), crcOffset);
  return bytes;
}

/** Undefined: no frame of this format and version begins here, or none of the life of that salt. */
export function decodeFrameHeader(bytes: Buffer, salt?: bigint): FrameHeader | undefined {
  if (bytes.length < frameHeaderBytes || bytes.readUInt32LE(0) !== magic || bytes.readUInt16LE(4) !== version)
    return undefined;
  if (salt !== undefined && bytes.readBigUInt64LE(saltOffset) !== salt) return undefined;
  if (bytes.readUInt32LE(crcOffset) !== headerCrc(bytes)) return undefined;
  return {
    freed: bytes.readUInt16LE(stateOffset) === freedState,
    segment: Number(bytes.readBigUInt64LE(8)),
    metaBytes: bytes.readUInt32LE(16),
    bodyBytes: bytes.readUInt32LE(20),
    metaCrc: bytes.readUInt32LE(24),
    bodyCrc: bytes.readUInt32LE(28),
    id: bytes.toString("hex", 32, 48),
    salt: bytes.readBigUInt64LE(saltOffset),
  };
}

function headerCrc(bytes: Buffer): number {
  return crc32(bytes.subarray(8, crcOffset), crc32(bytes.subarray(0, stateOffset)));
}

export function encodeMeta(subject: string, batch: Uint8Array): Buffer {
  const subjectBytes = Buffer.from(subject);
  const meta = Buffer.allocUnsafe(2 + subjectBytes.length + batch.length);
  meta.writeUInt16LE(subjectBytes.length, 0);
  meta.set(subjectBytes, 2);
  meta.set(batch, 2 + subjectBytes.length);
  return meta;
}

/** Undefined: that is no meta. */
export function decodeMeta(meta: Buffer): { subject: string; batch: Uint8Array } | undefined {
  const end = meta.length < 2 ? Number.POSITIVE_INFINITY : 2 + meta.readUInt16LE(0);
  if (end > meta.length) return undefined;
  return { subject: meta.toString("utf8", 2, end), batch: meta.subarray(end) };
}

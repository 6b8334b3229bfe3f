/**
 * Readers for the two archive formats in which registries deliver: zip (wheels, jars) and gzipped tar (npm
 * packages, releases). Both hold the whole archive in memory; the caller bounds what it reads from disk.
 *
 *     zip: … local header + data … │ central directory (46 B + name per entry) │ end record (22 B + comment)
 *     tar: 512-byte header │ data padded to 512 │ … │ two zero blocks
 *
 * Not read, and refused by name: zip64, encryption, methods other than stored and deflate.
 */
import { crc32, gunzipSync, inflateRawSync } from "node:zlib";
import { CodedError } from "@millrace/errors";

export interface ArchiveEntry {
  /** The path inside the archive, as stored; never joined to a folder of ours without a check. */
  name: string;
  /** Unpacked size in bytes. */
  size: number;
  /** The unpacked bytes, checked against the archive's own checksum where it has one. */
  read: () => Uint8Array;
}

/** No single file that we fetch comes near; a declared size above it is an attack or a damaged archive. */
const entryBytesMax = 1 << 30;

const centralSignature = 0x02014b50;
const localSignature = 0x04034b50;
const endSignature = 0x06054b50;
const endRecordBytes = 22;
const zipCommentBytesMax = 0xffff;

export function readZip(archive: Uint8Array): ArchiveEntry[] {
  const bytes = Buffer.from(archive.buffer, archive.byteOffset, archive.byteLength);
  const end = findEndRecord(bytes);
  const count = bytes.readUInt16LE(end + 10);
  let at = bytes.readUInt32LE(end + 16);
  const entries: ArchiveEntry[] = [];
  for (let i = 0; i < count; i++) {
    if (at + 46 > bytes.length || bytes.readUInt32LE(at) !== centralSignature) {
      throw corrupt("zip", "its directory is damaged");
    }
    const nameEnd = at + 46 + bytes.readUInt16LE(at + 28);
    const name = bytes.toString("utf8", at + 46, nameEnd);
    entries.push(zipEntry(bytes, at, name));
    at = nameEnd + bytes.readUInt16LE(at + 30) + bytes.readUInt16LE(at + 32);
  }
  return entries;
}

export function readTarGz(archive: Uint8Array): ArchiveEntry[] {
  const bytes = gunzip(archive);
  const entries: ArchiveEntry[] = [];
  let at = 0;
  while (at + 512 <= bytes.length && bytes[at] !== 0) {
    checkTarHeader(bytes, at);
    const size = octal(bytes, at + 124, 12);
    const start = at + 512;
    if (start + size > bytes.length) throw corrupt("tar", "it ends in the middle of a file");
    const type = String.fromCharCode(bytes[at + 156] ?? 0);
    // Folders, links and extension records hold nothing that we fetch; only plain files are listed.
    if (type === "0" || type === "\0") {
      entries.push({ name: tarName(bytes, at), size, read: () => bytes.subarray(start, start + size) });
    }
    at = start + Math.ceil(size / 512) * 512;
  }
  return entries;
}

/**
 * The one file whose path ends with `suffix`; none or several are `data_loss`: the archive is not what we
 * know.
 */
export function findEntry(entries: ArchiveEntry[], suffix: string): ArchiveEntry {
  const [found, second] = entries.filter((entry) => entry.name.endsWith(suffix));
  if (found === undefined || second !== undefined) {
    throw corrupt("archive", `it holds ${second ? "several files" : "no file"} named ${suffix}`);
  }
  return found;
}

function findEndRecord(bytes: Buffer): number {
  const lowest = Math.max(0, bytes.length - endRecordBytes - zipCommentBytesMax);
  for (let at = bytes.length - endRecordBytes; at >= lowest; at--) {
    if (bytes.readUInt32LE(at) === endSignature) return at;
  }
  throw corrupt("zip", "its end is missing");
}

function zipEntry(bytes: Buffer, at: number, name: string): ArchiveEntry {
  const flags = bytes.readUInt16LE(at + 8);
  const method = bytes.readUInt16LE(at + 10);
  const checksum = bytes.readUInt32LE(at + 16);
  const packedSize = bytes.readUInt32LE(at + 20);
  const size = bytes.readUInt32LE(at + 24);
  const local = bytes.readUInt32LE(at + 42);
  if ((flags & 1) !== 0) throw corrupt("zip", `${name} is encrypted`);
  const read = (): Uint8Array => {
    if (local === 0xffffffff || size > entryBytesMax) throw corrupt("zip", `${name} is too large`);
    if (local + 30 > bytes.length || bytes.readUInt32LE(local) !== localSignature) {
      throw corrupt("zip", `the header of ${name} is damaged`);
    }
    const start = local + 30 + bytes.readUInt16LE(local + 26) + bytes.readUInt16LE(local + 28);
    const packed = bytes.subarray(start, start + packedSize);
    const unpacked = inflate(packed, { method, size, name });
    if (unpacked.length !== size || crc32(unpacked) !== checksum) {
      throw corrupt("zip", `${name} does not match its checksum`);
    }
    return unpacked;
  };
  return { name, size, read };
}

function inflate(packed: Buffer, entry: { method: number; size: number; name: string }): Uint8Array {
  if (entry.method === 0) return packed;
  if (entry.method !== 8) throw corrupt("zip", `${entry.name} uses compression method ${entry.method}`);
  try {
    return inflateRawSync(packed, { maxOutputLength: Math.max(1, entry.size) });
  } catch (caught) {
    throw corrupt("zip", `${entry.name} does not unpack`, caught);
  }
}

function gunzip(archive: Uint8Array): Buffer {
  try {
    return gunzipSync(archive, { maxOutputLength: entryBytesMax });
  } catch (caught) {
    throw corrupt("tar.gz", "it does not unpack", caught);
  }
}

/** The header's own sum counts its eight checksum bytes as spaces. */
function checkTarHeader(bytes: Buffer, at: number): void {
  let sum = 8 * 0x20;
  for (let i = 0; i < 512; i++) if (i < 148 || i >= 156) sum += bytes[at + i] ?? 0;
  if (sum !== octal(bytes, at + 148, 8)) throw corrupt("tar", "a header does not match its checksum");
}

function tarName(bytes: Buffer, at: number): string {
  const name = text(bytes, at, 100);
  const prefix = text(bytes, at + 257, 5) === "ustar" ? text(bytes, at + 345, 155) : "";
  return prefix === "" ? name : `${prefix}/${name}`;
}

function text(bytes: Buffer, at: number, length: number): string {
  const end = bytes.indexOf(0, at);
  return bytes.toString("utf8", at, end === -1 || end > at + length ? at + length : end);
}

function octal(bytes: Buffer, at: number, length: number): number {
  const value = Number.parseInt(text(bytes, at, length).trim() || "0", 8);
  if (!Number.isSafeInteger(value)) throw corrupt("tar", "a number in a header is not octal");
  return value;
}

function corrupt(format: string, what: string, cause?: unknown): CodedError {
  return new CodedError("data_loss", `read the ${format}: ${what}`, { cause });
}

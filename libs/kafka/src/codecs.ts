import zlib from "node:zlib";
import { compressionsAlgorithms } from "@platformatic/kafka";
import { lz4Compress, lz4Decompress, snappyCompress, snappyDecompress } from "@platformatic/wasm-utils";
import { CodedError } from "@millrace/errors";
import kafkajs from "kafkajs";

interface Codec {
  compress(encoder: { buffer: Buffer }): Promise<Buffer>;
  decompress(buffer: Buffer): Promise<Buffer>;
}

/** Above, a batch is taken for a bomb: brokers take 1 MiB of compressed bytes unless told otherwise. */
export const decompressedBytesMax = 256 * 1024 * 1024;

const codec = (compress: (raw: Buffer) => Buffer, decompress: (raw: Buffer) => Buffer): Codec => ({
  compress: async ({ buffer }) => compress(buffer),
  decompress: async (buffer) => decompress(buffer),
});

/**
 * Both drivers keep one table of codecs a process. kafkajs knows gzip only and takes the others from here;
 * the other driver's unpack without a bound, and can't read snappy as Java's producers frame it.
 */
export function registerCodecs(): void {
  const { CompressionCodecs: registered, CompressionTypes: types } = kafkajs;
  const bounded = { maxOutputLength: decompressedBytesMax };
  const gunzip = (raw: Buffer): Buffer => zlib.gunzipSync(raw, bounded);
  const [gzip, snappy] = [codec(zlib.gzipSync, gunzip), codec(snappyCompress, unframeSnappy)];
  const lz4 = codec(lz4Compress, lz4Decompress);
  registered[types.GZIP] = () => gzip;
  registered[types.Snappy] = () => snappy;
  registered[types.LZ4] = () => lz4;
  registered[types.ZSTD] = zstd;
  const unpacking = compressionsAlgorithms as Record<"gzip" | "snappy", { decompressSync: Unpack }>;
  unpacking.gzip.decompressSync = (raw) => gunzip(bytesOf(raw));
  unpacking.snappy.decompressSync = (raw) => unframeSnappy(bytesOf(raw));
}

/** Bytes, or the client's own list of them. */
type Unpack = (raw: Buffer | { buffer: Buffer }) => Buffer;

const bytesOf = (raw: Buffer | { buffer: Buffer }): Buffer => (Buffer.isBuffer(raw) ? raw : raw.buffer);

/** Of Node 22.15 and newer, whose types are not those that we build with. */
function zstd(): Codec {
  const { zstdCompressSync, zstdDecompressSync } = zlib as {
    zstdCompressSync?: (raw: Buffer) => Buffer;
    zstdDecompressSync?: (raw: Buffer, options: { maxOutputLength: number }) => Buffer;
  };
  if (zstdCompressSync === undefined || zstdDecompressSync === undefined) {
    throw new CodedError("unimplemented", "kafka: this Node has no zstd compression", {
      remedy: "Use Node 22.15 or newer, or another compression.",
    });
  }
  return codec(zstdCompressSync, (raw) => zstdDecompressSync(raw, { maxOutputLength: decompressedBytesMax }));
}

const xerial = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00]);
/** Behind the mark two versions of 4 bytes each. */
const xerialHeaderBytes = 16;

/**
 * Java's producers frame snappy:
 *
 *   82 "SNAPPY" 00 │ version │ compatible │ length u32 │ block │ length │ block …
 */
export function unframeSnappy(raw: Buffer): Buffer {
  if (!raw.subarray(0, xerial.length).equals(xerial)) return snappyDecompress(raw);
  const blocks: Buffer[] = [];
  for (let at = xerialHeaderBytes; at + 4 <= raw.length; ) {
    const end = at + 4 + raw.readUInt32BE(at);
    if (end > raw.length) throw new CodedError("data_loss", "kafka: a snappy block is cut off");
    blocks.push(snappyDecompress(raw.subarray(at + 4, end)));
    at = end;
  }
  return Buffer.concat(blocks);
}

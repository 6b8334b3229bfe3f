import { crc32 } from "@millrace/files";
import { readFile } from "node:fs/promises";
import { deflateSync } from "node:zlib";
import sharp from "sharp";
import type { Box } from "../blur.js";
import type { ImageFormat } from "../sniff.js";

/** A photo with one face, looking at the camera: a JPEG of 512 × 512. */
export function facePhoto(): Promise<Uint8Array> {
  return readFile(new URL("../../photos/astronaut.jpg", import.meta.url));
}

/** The photo with a face, so many pixels wide and high: a JPEG. */
export async function enlargedPhoto(pixels: number): Promise<Uint8Array> {
  return sharp(await facePhoto())
    .resize(pixels)
    .jpeg({ quality: 100 })
    .toBuffer();
}

/** The photo, or a part of it, so many pixels wide in the middle of a plain picture: a JPEG. */
export async function framedPhoto(of: {
  width: number;
  height: number;
  photo: number;
  crop?: Box;
}): Promise<Uint8Array> {
  const { width, height, photo, crop = { x: 0, y: 0, width: 512, height: 512 } } = of;
  const input = await sharp(await facePhoto())
    .extract({ left: crop.x, top: crop.y, width: crop.width, height: crop.height })
    .resize(photo)
    .toBuffer();
  const plain = sharp({ create: { width, height, channels: 3, background: "#567890" } });
  return plain.composite([{ input }]).jpeg().toBuffer();
}

/** A photo of a cat, close up: a JPEG of 360 × 239. */
export function catPhoto(): Promise<Uint8Array> {
  return readFile(new URL("../../photos/cat.jpg", import.meta.url));
}

/** A photo of a cup of coffee on a table: a JPEG of 360 × 240. */
export function coffeePhoto(): Promise<Uint8Array> {
  return readFile(new URL("../../photos/coffee.jpg", import.meta.url));
}

/** Turned clockwise by so many degrees, with nothing in the file to say so: a JPEG. */
export async function turnedPhoto(degrees: number): Promise<Uint8Array> {
  return sharp(await facePhoto())
    .rotate(degrees)
    .jpeg()
    .toBuffer();
}

export interface PngParts {
  width: number;
  height: number;
  /** Deflated rows; default: as many black ones as the header says. */
  data?: Uint8Array;
  /** Between header and pixels. */
  chunks?: readonly Uint8Array[];
}

/** A grey PNG, written by hand so that it may lie. */
export function pngFile({ width, height, data, chunks = [] }: PngParts): Uint8Array {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header[8] = 8;
  const pixels = data ?? deflateSync(Buffer.alloc((width + 1) * height), { level: 9 });
  const parts = [
    pngChunk("IHDR", header),
    ...chunks,
    pngChunk("IDAT", pixels),
    pngChunk("IEND", Buffer.alloc(0)),
  ];
  return Buffer.concat([Buffer.from("\x89PNG\r\n\x1a\n", "latin1"), ...parts]);
}

export function pngChunk(type: string, data: Uint8Array): Uint8Array {
  const chunk = Buffer.alloc(12 + data.length);
  chunk.writeUInt32BE(data.length, 0);
  chunk.write(type, 4, "latin1");
  chunk.set(data, 8);
  chunk.writeUInt32BE(crc32(chunk.subarray(4, 8 + data.length)), 8 + data.length);
  return chunk;
}

/**
 * The same picture with `canary` wherever the format lets one write: EXIF with a place, XMP, text chunks and
 * comments, and behind the end.
 */
export async function withCanaries(
  photo: Uint8Array,
  format: ImageFormat,
  canary: string,
  quality = 80,
): Promise<Uint8Array> {
  const place = { GPSLatitudeRef: "N", GPSLatitude: "51/1 30/1 3230/100", GPSProcessingMethod: canary };
  const file = await sharp(photo)
    .withExif({ IFD0: { Artist: canary }, IFD3: place })
    .withXmp(`<x:xmpmeta xmlns:x="adobe:ns:meta/"><a>${canary}</a></x:xmpmeta>`)
    .toFormat(format, { quality })
    .toBuffer();
  const note = Buffer.from(`note\0${canary}`, "latin1");
  if (format === "png") {
    const start = 8 + 25;
    return Buffer.concat([
      file.subarray(0, start),
      pngChunk("tEXt", note),
      pngChunk("zTXt", Buffer.concat([Buffer.from("zip\0\0"), deflateSync(note)])),
      pngChunk("prVt", note),
      file.subarray(start),
      note,
    ]);
  }
  if (format === "webp") return Buffer.concat([file, note]);
  const comment = Buffer.concat([Buffer.from([0xff, 0xfe, 0, note.length + 2]), note]);
  return Buffer.concat([file.subarray(0, 2), comment, file.subarray(2), note]);
}

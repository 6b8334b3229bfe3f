import { CodedError } from "@millrace/errors";
import sharp, { type Sharp, type SharpOptions } from "sharp";
import { imageLimits } from "./limits.js";
import { refused } from "./refuse.js";
import { type ImageFormat, isAnimated, sniffImage } from "./sniff.js";

// Of libvips' many decoders (SVG, PDF, TIFF, …) only three are needed, and none that opens files by name.
sharp.block({ operation: ["VipsForeignLoad"] });
sharp.unblock({
  operation: ["VipsForeignLoadJpegBuffer", "VipsForeignLoadPngBuffer", "VipsForeignLoadWebpBuffer"],
});
// One thread an image, and nothing kept of it: threads and memory belong to who calls.
sharp.concurrency(1);
sharp.cache(false);

export interface ImageInfo {
  format: ImageFormat;
  /** As it is shown, which EXIF's orientation decides. */
  width: number;
  height: number;
}

/** Rows from the top, three bytes a pixel: red, green, blue in sRGB. */
export interface Pixels {
  width: number;
  height: number;
  data: Uint8Array;
}

const formatRemedy = "Send a JPEG, PNG or WebP file.";

/**
 * Reads the header only.
 *
 * @throws CodedError invalid_argument: of no known format, damaged, animated, or beyond `imageLimits`.
 */
export async function inspectImage(bytes: Uint8Array): Promise<ImageInfo> {
  const { bytesMax, pixelsMax, sideMax } = imageLimits;
  if (bytes.length > bytesMax) {
    throw refused(`it has ${bytes.length} bytes, more than ${bytesMax}`, "Send it smaller.");
  }
  const format = sniffImage(bytes);
  if (format === undefined) throw refused("it is no JPEG, PNG or WebP file", formatRemedy);
  if (isAnimated(bytes, format)) throw refused("it is animated", "Send its frames as single images.");
  // Without the limit, so that the answer can name the size; a header costs nothing.
  const header = await open(bytes, { limitInputPixels: false })
    .metadata()
    .catch(() => undefined);
  if (header?.format !== format) throw damaged();
  if ((header.pages ?? 1) > 1) throw refused("it has several pages", "Send them as single images.");
  const { width, height } = header.autoOrient;
  if (Math.max(width, height) > sideMax) {
    throw refused(`it is ${Math.max(width, height)} pixels long, more than ${sideMax}`, "Cut it.");
  }
  if (width * height > pixelsMax) {
    throw refused(`it has ${width} × ${height} pixels, more than ${pixelsMax}`, "Send it smaller.");
  }
  return { format, width, height };
}

/**
 * What a viewer would show, upright and on white: what lies under transparent pixels is gone with them.
 * Memory: 3 bytes a pixel, twice that while a turned or interlaced file is read.
 *
 * @throws CodedError as `inspectImage`; deadline_exceeded where decoding takes too long.
 */
export async function decodeImage(bytes: Uint8Array): Promise<Pixels & ImageInfo> {
  const { format } = await inspectImage(bytes);
  const { data, info } = await open(bytes)
    .timeout({ seconds: imageLimits.decodeMsMax / 1_000 })
    .autoOrient()
    .flatten({ background: "#ffffff" })
    .toColourspace("srgb")
    .raw({ depth: "uchar" })
    .toBuffer({ resolveWithObject: true })
    .catch((cause: unknown) => {
      throw isTimeout(cause) ? tooSlow() : damaged();
    });
  return { format, width: info.width, height: info.height, data: asRgb(data, info.channels) };
}

function open(bytes: Uint8Array, options: SharpOptions = {}): Sharp {
  // Warnings are left: many cameras write files that give one. What is missing or undecodable is an error.
  return sharp(bytes, { failOn: "error", limitInputPixels: imageLimits.pixelsMax, pages: 1, ...options });
}

/** A grey image comes as one channel. */
function asRgb(data: Uint8Array, channels: number): Uint8Array {
  if (channels === 3) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  const rgb = new Uint8Array((data.length / channels) * 3);
  for (let from = 0, to = 0; from < data.length; from += channels, to += 3) {
    rgb.fill(data[from] ?? 0, to, to + 3);
  }
  return rgb;
}

function isTimeout(cause: unknown): boolean {
  return cause instanceof Error && cause.message.includes("timeout");
}

const damaged = (): CodedError => refused("it is damaged or cut short", "Check that it opens elsewhere.");

function tooSlow(): CodedError {
  const message = `read an image: decoding took more than ${imageLimits.decodeMsMax} ms`;
  return new CodedError("deadline_exceeded", message, { field: "image", remedy: "Send it smaller." });
}

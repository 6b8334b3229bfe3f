import sharp, { type Sharp } from "sharp";
import type { Pixels } from "./decode.js";
import { imageLimits } from "./limits.js";
import { refused } from "./refuse.js";
import type { ImageFormat } from "./sniff.js";

/** From the best on; the next one where a file would be larger than an image may be. */
const qualities: Readonly<Record<ImageFormat, readonly number[]>> = {
  jpeg: [90, 75, 55],
  webp: [88, 70, 50],
  // Of PNG it is the effort: nothing is ever lost.
  png: [6, 9],
};

/**
 * A file of pixels and nothing else: no EXIF, XMP, IPTC, ICC profile, comment, text chunk or thumbnail, and
 * no byte of the file that the pixels came from.
 *
 * @throws CodedError invalid_argument: it would be larger than `imageLimits.encodedBytesMax`.
 */
export async function encodeImage(pixels: Pixels, format: ImageFormat): Promise<Uint8Array> {
  for (const quality of qualities[format]) {
    const file = await encoder(pixels, format, quality).toBuffer();
    if (file.length <= imageLimits.encodedBytesMax) return file;
  }
  const bytesMax = imageLimits.encodedBytesMax;
  const reason = `as ${format} without its metadata it would have more than ${bytesMax} bytes`;
  throw refused(reason, "Send it smaller, or as JPEG.");
}

function encoder({ data, width, height }: Pixels, format: ImageFormat, quality: number): Sharp {
  const image = sharp(data, { raw: { width, height, channels: 3 }, limitInputPixels: imageLimits.pixelsMax });
  switch (format) {
    case "jpeg":
      return image.jpeg({ quality });
    case "webp":
      // Most of the effort saves bytes that nobody here pays for.
      return image.webp({ quality, effort: 2 });
    case "png":
      return image.png({ compressionLevel: quality });
  }
}

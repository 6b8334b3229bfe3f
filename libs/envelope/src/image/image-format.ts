/** The formats of images that are taken: each carries its size early, and is decoded by one known library. */
export type ImageFormat = "jpeg" | "png" | "webp";

export const imageFormatsNamed = "JPEG, PNG or WebP";

const png = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a);

/** By its first bytes, never by a name; undefined: none of them. Decoding shows whether the rest is sound. */
export function imageFormatOf(bytes: Uint8Array): ImageFormat | undefined {
  if (bytes[0] === 0xff && bytes[1] === 0xd8 && bytes[2] === 0xff) return "jpeg";
  if (png.every((byte, at) => bytes[at] === byte)) return "png";
  // RIFF <length> WEBP
  if (ascii(bytes, 0, 4) === "RIFF" && ascii(bytes, 8, 12) === "WEBP") return "webp";
  return undefined;
}

function ascii(bytes: Uint8Array, from: number, to: number): string {
  return String.fromCharCode(...bytes.subarray(from, to));
}

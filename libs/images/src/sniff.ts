/**
 * The format by its first bytes, never by a name or a declared type:
 *
 *   JPEG  FF D8 FF
 *   PNG   89 50 4E 47 0D 0A 1A 0A, then chunks: length (u32 BE), type (4), data, CRC-32 (4)
 *   WebP  "RIFF", length (u32 LE), "WEBP", then chunks: type (4), length (u32 LE), data padded to 2
 */

export const imageFormats = ["jpeg", "png", "webp"] as const;
export type ImageFormat = (typeof imageFormats)[number];

const pngStart = "\x89PNG\r\n\x1a\n";

/** Undefined for everything that is not a JPEG, PNG or WebP file. */
export function sniffImage(bytes: Uint8Array): ImageFormat | undefined {
  const start = latin(bytes, 0, 12);
  if (start.startsWith("\xff\xd8\xff")) return "jpeg";
  if (start.startsWith(pngStart)) return "png";
  if (start.startsWith("RIFF") && start.endsWith("WEBP")) return "webp";
  return undefined;
}

/**
 * Whether it shows several pictures. Only the first would be looked at, so the others must not come along
 * unseen: such a file is refused rather than cut, which its sender would not notice.
 */
export function isAnimated(bytes: Uint8Array, format: ImageFormat): boolean {
  if (format === "png") return chunkNames(bytes, pngStart.length, "png").includes("acTL");
  if (format === "webp") return chunkNames(bytes, 12, "webp").some((name) => /^ANI[MF]$/.test(name));
  return false;
}

/** Chunks before the pixels: where an animation has to be announced. */
const namesMax = 1_000;

function chunkNames(bytes: Uint8Array, start: number, format: "png" | "webp"): string[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const names: string[] = [];
  for (let at = start; at + 8 <= bytes.length && names.length < namesMax; ) {
    const isPng = format === "png";
    const name = latin(bytes, isPng ? at + 4 : at, 4);
    const length = isPng ? view.getUint32(at) : view.getUint32(at + 4, true);
    if (name === "IDAT") break;
    names.push(name);
    at += isPng ? length + 12 : 8 + length + (length & 1);
  }
  return names;
}

function latin(bytes: Uint8Array, at: number, length: number): string {
  return String.fromCharCode(...bytes.subarray(at, at + length));
}

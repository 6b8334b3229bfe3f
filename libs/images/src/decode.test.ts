import assert from "node:assert/strict";
import { test } from "node:test";
import { constants, deflateRawSync, deflateSync } from "node:zlib";
import sharp from "sharp";
import { decodeImage, inspectImage } from "./decode.js";
import { encodeImage } from "./encode.js";
import { imageFormats, sniffImage } from "./sniff.js";
import { facePhoto, pngChunk, pngFile, withCanaries } from "./testing/index.js";

const canary = "canary-7f3a";
const mib = 1024 * 1024;

for (const format of imageFormats) {
  test(`no metadata and no foreign byte outlives a ${format} file`, async () => {
    const file = await withCanaries(await facePhoto(), format, canary);
    assert.ok(Buffer.from(file).includes(canary));
    const pixels = await decodeImage(file);
    const clean = await encodeImage(pixels, pixels.format);
    assert.equal(sniffImage(clean), format);
    for (const encoding of ["latin1", "utf16le"] as const) {
      assert.equal(Buffer.from(clean).includes(Buffer.from(canary, encoding)), false);
    }
    const { exif, xmp, iptc, icc, comments } = await sharp(clean).metadata();
    assert.deepEqual(
      [exif, xmp, iptc, icc, comments],
      Array.from({ length: 5 }, () => undefined),
    );
  });
}

const refusals: [what: string, file: () => Promise<Uint8Array> | Uint8Array, reason: RegExp][] = [
  ["an SVG", () => Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"/>'), /no JPEG, PNG or WebP/],
  [
    "a GIF",
    async () =>
      sharp(await facePhoto())
        .gif()
        .toBuffer(),
    /no JPEG, PNG or WebP/,
  ],
  [
    "a TIFF",
    async () =>
      sharp(await facePhoto())
        .tiff()
        .toBuffer(),
    /no JPEG, PNG or WebP/,
  ],
  ["a HEIC", () => Buffer.from("\0\0\0\x18ftypheic\0\0\0\0mif1heic", "latin1"), /no JPEG, PNG or WebP/],
  ["a file of nothing", () => new Uint8Array(0), /no JPEG, PNG or WebP/],
  ["a JPEG that is cut short", async () => (await facePhoto()).subarray(0, 20_000), /damaged or cut short/],
  ["a PNG of text", () => Buffer.from("\x89PNG\r\n\x1a\nhello, this is no image", "latin1"), /damaged/],
  [
    "a header of 65535 × 65535",
    () => pngFile({ width: 65535, height: 65535, data: deflateSync("x") }),
    /65535 × 65535 pixels/,
  ],
  [
    "400 MP in 400 KB",
    () => pngFile({ width: 20_000, height: 20_000, data: zeros(401) }),
    /20000 × 20000 pixels/,
  ],
  ["too many bytes", () => Buffer.alloc(8 * mib + 1, "\xff\xd8\xff", "latin1"), /8388609 bytes/],
  [
    "a header of more than there is",
    () => pngFile({ width: 4_000, height: 4_000, data: deflateSync(Buffer.alloc(9)) }),
    /damaged/,
  ],
  [
    "an animated PNG",
    () => pngFile({ width: 1, height: 1, chunks: [pngChunk("acTL", Buffer.alloc(8))] }),
    /animated/,
  ],
  ["an animated WebP", animatedWebp, /animated/],
  [
    "an inflating text",
    () => pngFile({ width: 1, height: 1, chunks: [bombText(), bombText()], data: Buffer.alloc(3) }),
    /damaged/,
  ],
];

test("a file that is no image, lies, or claims too much is refused for what it is", async () => {
  const before = process.memoryUsage.rss();
  for (const [what, make, reason] of refusals) {
    await assert.rejects(decodeImage(await make()), { code: "invalid_argument", message: reason }, what);
  }
  // Measured: 21 MB; the pixels of the two largest would be 1.2 and 12 GB.
  assert.ok(process.memoryUsage.rss() - before < 300 * mib);
  assert.equal((await inspectImage(await facePhoto())).format, "jpeg");
});

test("what follows a file, or lies under transparent pixels, is gone", async () => {
  const archive = Buffer.concat([await facePhoto(), Buffer.from(`PK\x03\x04${canary}`)]);
  const pixels = await decodeImage(archive);
  assert.equal(Buffer.from(await encodeImage(pixels, "jpeg")).includes(canary), false);
  const hidden = await sharp(await facePhoto())
    .ensureAlpha(0)
    .png()
    .toBuffer();
  assert.ok((await decodeImage(hidden)).data.every((byte) => byte === 255));
});

test("an image is upright as EXIF says, in three channels whatever it has", async () => {
  const turned = await sharp(await facePhoto())
    .resize(40, 20)
    .withMetadata({ orientation: 6 })
    .toBuffer();
  const { width, height } = await decodeImage(turned);
  assert.deepEqual([width, height], [20, 40]);
  const info = await inspectImage(turned);
  assert.deepEqual([info.width, info.height], [20, 40]);
  const grey = await decodeImage(pngFile({ width: 3, height: 2 }));
  assert.deepEqual(grey.data, new Uint8Array(18));
  const deep = await sharp(await facePhoto())
    .resize(8, 8)
    .toColourspace("rgb16")
    .png()
    .toBuffer();
  assert.equal((await decodeImage(deep)).data.length, 8 * 8 * 3);
});

/** Deflated zeros, so many MiB of them, which nobody had to make at once. */
function zeros(mebibytes: number): Uint8Array {
  const one = deflateRawSync(Buffer.alloc(mib), { finishFlush: constants.Z_FULL_FLUSH, level: 9 });
  return Buffer.concat([Buffer.from([0x78, 0xda]), ...Array.from({ length: mebibytes }, () => one)]);
}

/** Inflates to 64 MB. */
function bombText(): Uint8Array {
  return pngChunk("zTXt", Buffer.concat([Buffer.from("bomb\0\0"), deflateSync(Buffer.alloc(64 * mib))]));
}

async function animatedWebp(): Promise<Uint8Array> {
  const frames = await Promise.all(
    [0, 90].map((hue) => facePhoto().then((photo) => sharp(photo).modulate({ hue }).toBuffer())),
  );
  return sharp(frames, { join: { animated: true } })
    .webp()
    .toBuffer();
}

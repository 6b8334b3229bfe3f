/** What an image may cost; each is checked before the pixels are touched. */
export const imageLimits = {
  /** Of the file: what one message of an image may carry. */
  bytesMax: 8 * 1024 * 1024,
  /** Pixels: 75 MB when decoded. A file of 25 KB can claim as many. */
  pixelsMax: 25_000_000,
  /** Along a side: what JPEG allows, and a place in a finding holds. */
  sideMax: 65_535,
  /** Of a file that was encoded anew: from pixels, a file that was small for its size comes out larger. */
  encodedBytesMax: 10 * 1024 * 1024,
  /** The longest that a decoder may work on one image; a photo of 25 MP takes 0.4 s. */
  decodeMsMax: 5_000,
} as const;

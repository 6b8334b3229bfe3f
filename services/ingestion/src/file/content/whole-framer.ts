import { isUtf8 } from "node:buffer";
import { imageFormatOf, limits } from "@millrace/envelope";
import { Kind } from "@millrace/proto/batch";
import type { BlockSlice, FramedItem, FrameLimits, LineFramer } from "../lines/line-framer.js";

/** What a file may hold that is one message, and what to do with a longer one. */
const kinds = {
  image: {
    kind: Kind.KIND_IMAGE,
    bytesMax: limits.imageBytesMax,
    tooLong: "an image file is above 8 MiB: make it smaller",
  },
  text: {
    kind: Kind.KIND_TEXT,
    bytesMax: limits.messageBytesMax,
    tooLong: "a text file is above 768 KiB: take it by lines, or with onLargeFile of the SDK",
  },
  data: {
    kind: Kind.KIND_DATA,
    bytesMax: limits.dataBytesMax,
    tooLong: "a data file is above 4 MiB: take it with onLargeFile of the SDK",
  },
} as const;

/** The longest one. What is passed over need not be kept. */
export const wholeBytesMax = Math.max(...Object.values(kinds).map(({ bytesMax }) => bytesMax));

/** A file that is too long, as far as it was seen. */
interface Skipped {
  prefix: Buffer;
  seenBytes: number;
}

/**
 * Makes a file one message, once it has come to rest: an image where it begins as a JPEG, PNG or WebP, text
 * where it is UTF-8 without a NUL, else data.
 * Only `flush` frames; `push` keeps what is there, and passes over what is too long.
 */
export function createWholeFramer(
  { prefixBytesMax }: Pick<FrameLimits, "prefixBytesMax">,
  from: number,
): LineFramer {
  let position = from;
  let skipped: Skipped | undefined;
  const reject = (reason: string, { prefix, seenBytes }: Skipped): FramedItem => ({
    kind: "rejection",
    reason,
    positionFrom: from,
    positionTo: position,
    prefix,
    truncatedBytes: seenBytes - prefix.length,
  });
  const prefixOf = ({ block, start, end }: BlockSlice): Buffer =>
    Buffer.from(block.subarray(start, Math.min(end, start + prefixBytesMax)));
  return {
    get position() {
      return position;
    },
    get framedTo() {
      return skipped === undefined ? position : from;
    },
    push: (slice): FramedItem[] => {
      const length = slice.end - slice.start;
      if (skipped === undefined && length <= wholeBytesMax) return [];
      skipped ??= { prefix: prefixOf(slice), seenBytes: 0 };
      skipped.seenBytes += length;
      position += length;
      return [];
    },
    flush: (slice: BlockSlice): FramedItem[] => {
      if (skipped !== undefined) {
        const passed = skipped;
        skipped = undefined;
        return [reject(kinds[kindOfCut(passed.prefix)].tooLong, passed)];
      }
      const { block, start, end } = slice;
      if (start === end) return [];
      const body = block.subarray(start, end);
      const length = end - start;
      const positionFrom = position;
      position += length;
      const { kind, bytesMax, tooLong } = kinds[kindOf(body)];
      if (length > bytesMax) return [reject(tooLong, { prefix: prefixOf(slice), seenBytes: length })];
      return [
        {
          kind: "frame",
          body,
          lengths: Uint32Array.of(length),
          positionFrom,
          positionTo: position,
          count: 1,
          unterminated: false,
          packed: { positionDeltas: Uint32Array.of(length), kind },
        },
      ];
    },
  };
}

/** By content: an image of another name must not pass as data, whose pixels nobody looks at. */
function kindOf(body: Buffer): keyof typeof kinds {
  if (imageFormatOf(body) !== undefined) return "image";
  return isUtf8(body) && !body.includes(0) ? "text" : "data";
}

/** By what a longer file begins with: its last character may not be all there. */
function kindOfCut(prefix: Buffer): keyof typeof kinds {
  const found = [0, 1, 2, 3].map((missing) => kindOf(prefix.subarray(0, prefix.length - missing)));
  return found.find((kind) => kind !== "data") ?? "data";
}

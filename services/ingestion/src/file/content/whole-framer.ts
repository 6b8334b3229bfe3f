import { Kind } from "@millrace/proto/batch";
import type { BlockSlice, FramedItem, FrameLimits, LineFramer } from "../lines/line-framer.js";

/**
 * Makes a file one message, once it has come to rest: an image where it begins as a JPEG, PNG or WebP, text
 * where it is UTF-8 without a NUL, else data.
 * Only `flush` frames; `push` keeps what is there, and passes over what is too long.
 */
export function createWholeFramer(limits: FrameLimits, from: number): LineFramer {
  let position = from;
  let skipped: { prefix: Uint8Array; seenBytes: number } | undefined;
  return {
    get position() {
      return position;
    },
    get framedTo() {
      return skipped === undefined ? position : from;
    },
    push: ({ block, start, end }): FramedItem[] => {
      if (skipped === undefined && end - start <= limits.messageBytesMax) return [];
      skipped ??= {
        prefix: new Uint8Array(block.subarray(start, start + limits.prefixBytesMax)),
        seenBytes: 0,
      };
      skipped.seenBytes += end - start;
      position += end - start;
      return [];
    },
    flush: ({ block, start, end }: BlockSlice): FramedItem[] => {
      if (skipped !== undefined) {
        const { prefix, seenBytes } = skipped;
        skipped = undefined;
        const truncatedBytes = seenBytes - prefix.length;
        const reason = "a file is above the size limit of a message";
        return [
          { kind: "rejection", reason, positionFrom: from, positionTo: position, prefix, truncatedBytes },
        ];
      }
      if (start === end) return [];
      const body = block.subarray(start, end);
      const length = end - start;
      const positionFrom = position;
      position += length;
      return [
        {
          kind: "frame",
          body,
          lengths: Uint32Array.of(length),
          positionFrom,
          positionTo: position,
          count: 1,
          unterminated: false,
          packed: {
            positionDeltas: Uint32Array.of(length),
            kind: kindOf(body),
          },
        },
      ];
    },
  };
}

/** By content: an image of another name must not pass as data, whose pixels nobody looks at. */
function kindOf(body: Uint8Array): Kind {
  const start = Buffer.from(body.subarray(0, 12)).toString("latin1");
  const isImage = /^(\xff\xd8\xff|\x89PNG\r\n\x1a\n|RIFF[^]{4}WEBP)/.test(start);
  if (isImage) return Kind.KIND_IMAGE;
  return isText(body) ? Kind.KIND_TEXT : Kind.KIND_DATA;
}

const utf8 = new TextDecoder("utf-8", { fatal: true });

function isText(body: Uint8Array): boolean {
  if (body.includes(0)) return false;
  try {
    utf8.decode(body);
    return true;
  } catch {
    return false;
  }
}

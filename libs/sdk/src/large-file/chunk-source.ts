import { setImmediate as nextTurn } from "node:timers/promises";
import { type FileMap, mapFile } from "@millrace/files";
import { MillraceError } from "../rpc/millrace-error.js";

/** Where the bytes of chunks come from, in the order of the file. */
export interface ChunkSource {
  /** What it answered before may be gone by then. */
  take(offset: number, length: number): Promise<Uint8Array>;
  end(): void;
}

export interface MappedOptions {
  fd: number;
  /** Where the last chunk ends. */
  to: number;
  /** Bytes mapped at once: a whole number of chunks. */
  windowBytes: number;
  /** Throws where the file is shorter. */
  assertReaches(end: number): void;
}

/**
 * Nothing waits for a mapped chunk, so a program could go through a file without a turn of its event loop:
 * timers and connections would stand still, and closed windows not be unmapped. This is a few ms of work.
 */
const turnBytes = 16 * 1024 * 1024;

/** Views of a window over the file, mapped anew when a chunk lies behind it. */
export function mappedChunks({ fd, to, windowBytes, assertReaches }: MappedOptions): ChunkSource {
  let map: FileMap | undefined;
  let [from, end] = [0, 0];
  let sinceTurn = 0;
  const close = (): void => {
    map?.close();
    map = undefined;
    [from, end] = [0, 0];
  };
  const open = (offset: number): FileMap => {
    close();
    const length = Math.min(windowBytes, to - offset);
    assertReaches(offset + length);
    try {
      map = mapFile(fd, { offset, length, sequential: true });
    } catch (caught) {
      throw MillraceError.from(caught, "map a file");
    }
    [from, end] = [offset, offset + length];
    return map;
  };
  return {
    take: async (offset, length) => {
      if (sinceTurn >= turnBytes) {
        sinceTurn = 0;
        await nextTurn();
      }
      sinceTurn += length;
      const window = map !== undefined && offset + length <= end ? map : open(offset);
      return window.bytes.subarray(offset - from, offset - from + length);
    },
    end: close,
  };
}

/** Plain reads, into the same memory each time or, where the caller keeps it, into new one. */
export function readChunks(
  readInto: (bytes: Uint8Array, offset: number) => Promise<void>,
  isKept: boolean,
): ChunkSource {
  let memory = new Uint8Array();
  return {
    take: async (offset, length) => {
      if (isKept || memory.length < length) memory = new Uint8Array(length);
      const bytes = memory.subarray(0, length);
      await readInto(bytes, offset);
      return bytes;
    },
    end: () => {
      memory = new Uint8Array();
    },
  };
}

import { closeSync, fstatSync, openSync } from "node:fs";
import { CodedError } from "@millrace/errors";
import { loadNative, type Native } from "./native.js";

/*
 * A file, or a part of it, as memory: read-only, shared with the file's pages in the system's cache.
 *
 *     openMap ──► mapped ──close──► zeros ──no view is left (garbage collection)──► unmapped
 *
 * Memory is never unmapped while a view of it exists: that would end the process at the next read. `close`
 * lets go of the file at once all the same, by putting zeros in its place. A file must not become shorter
 * while it is mapped: the system ends a process that reads behind the end. Our own segments never do.
 */
export interface FileMap {
  /** The bytes of the file. After `close` they read as zeros. */
  readonly bytes: Uint8Array;
  close(): void;
}

export interface MapOptions {
  /** Where in the file to begin. Default 0. */
  offset?: number;
  /** Bytes to map. Default: to the end of the file. */
  length?: number;
  /** It will be read once from front to back: the system reads ahead, and lets go of what was read. */
  sequential?: boolean;
}

let known: Native | string | undefined;

/** The platform's mapping calls, loaded at the first use; a string says why there are none. */
export function native(): Native | string {
  known ??= loadNative();
  return known;
}

/** Why files can't be mapped here; undefined where they can. */
export function whyNoMaps(): string | undefined {
  const loaded = native();
  return typeof loaded === "string" ? loaded : undefined;
}

/**
 * Errors: `unimplemented` where files can't be mapped, `out_of_range` for a part that the file has not, and
 * those of opening the file.
 */
export function openMap(path: string, options: MapOptions = {}): FileMap {
  try {
    const fd = openSync(path, "r");
    try {
      return mapFile(fd, options);
    } finally {
      // The mapping holds the file by itself.
      closeSync(fd);
    }
  } catch (cause) {
    throw CodedError.from(cause, "map a file");
  }
}

const unreached = new FinalizationRegistry<() => void>((unmap) => unmap());

/** Maps an open file; the descriptor may be closed afterwards. */
export function mapFile(fd: number, options: MapOptions = {}): FileMap {
  const calls = native();
  if (typeof calls === "string") throw new CodedError("unimplemented", `map a file: ${calls}`);
  const { size } = fstatSync(fd);
  const offset = options.offset ?? 0;
  const length = options.length ?? size - offset;
  const isWithin = Number.isSafeInteger(offset) && Number.isSafeInteger(length) && offset >= 0;
  if (!isWithin || length < 0 || offset + length > size) {
    throw new CodedError("out_of_range", `map a file: ${offset}+${length} is not within ${size} bytes`, {
      field: "offset",
    });
  }
  // The system maps whole pages, and refuses to map nothing.
  if (length === 0) return { bytes: new Uint8Array(), close: () => undefined };
  const skipped = offset % calls.pageBytes;
  const mapped = skipped + length;
  const address = calls.map(fd, offset - skipped, mapped);
  if (options.sequential === true) calls.advise(address, mapped, "sequential");
  const memory = calls.view(address, mapped);
  unreached.register(memory, () => calls.unmap(address, mapped));
  let isOpen = true;
  return {
    bytes: new Uint8Array(memory, skipped, length),
    close: () => {
      if (isOpen) calls.blank(address, mapped);
      isOpen = false;
    },
  };
}

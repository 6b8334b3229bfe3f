import { closeSync, constants, fstatSync, openSync, read, statSync } from "node:fs";
import { promisify } from "node:util";
import { CodedError } from "@millrace/errors";
import { whyNoMaps } from "@millrace/files";
import { invalidArgument, MillraceError } from "../rpc/millrace-error.js";
import { checkBoolean, checkKeys, checkText } from "../units/checks.js";
import { parseSize, type Size } from "../units/size.js";
import { type ChunkSource, mappedChunks, readChunks } from "./chunk-source.js";
import { type ChunkOptions, type Part, toPart } from "./part.js";

/*
 *     mmapFile ──► open ──► window 1: chunk, chunk, … ──► window 2: chunk, … ──► closed
 *
 * A window is what is mapped at once, a whole number of chunks. A chunk lives until the next one is asked
 * for, or the iteration or the file ends: then its `bytes` throw. A Uint8Array that was taken from it and
 * kept reads the file until its window is closed, and zeros from then on: memory is never unmapped while
 * somebody can see it, so nothing here crashes. Only who cuts the file short *while a chunk of it is read*
 * ends the process (SIGBUS, by the system); before each chunk we look, and an iteration over a shorter file
 * rejects.
 */

export interface MmapOptions {
  /** False: plain reads. Default true, where files can be mapped; `dataPath` says which. */
  memoryMapping?: boolean;
  /** Bytes mapped at once at most. Default `"1GB"`. */
  mmapSize?: Size;
  /** False: each chunk is a copy, the caller's to keep and to write to. Default true. */
  zeroCopy?: boolean;
}

/** A piece of a file. */
export interface Chunk {
  /** Where in the file it begins. */
  readonly offset: number;
  /**
   * The content. Not to be written to, and gone when the next chunk is asked for: `failed_precondition` then.
   * With `zeroCopy: false` a copy, which stays.
   */
  readonly bytes: Uint8Array;
}

/** A file that is gone through in chunks, without loading it into memory. */
export interface MappedFile extends Disposable {
  readonly path: string;
  /** Bytes, when it was opened. What is appended later is not seen, and a file renamed over it neither. */
  readonly size: number;
  readonly dataPath: "mapped" | "read";
  /** Why the data path is what it is. */
  readonly reason: string;
  /**
   * Front to back; one iteration at a time. Rejects with `failed_precondition` where the file was closed or
   * became shorter.
   */
  iterChunks(options?: ChunkOptions): AsyncGenerator<Chunk, void, undefined>;
  /** Ends the chunk that is under way as well. The second time does nothing. */
  close(): void;
}

/** Views are at most 2 GiB: what zlib and the system's calls take in one piece. */
const viewBytesMax = 2 ** 31 - 2 ** 16;
const mmapBytesMin = 64 * 1024;
const mmapBytesDefault = 1_000_000_000;
const optionKeys = ["memoryMapping", "mmapSize", "zeroCopy"] as const;

const readAt = promisify(read);

interface Settings {
  windowBytes: number;
  isMapped: boolean;
  isCopied: boolean;
  reason: string;
}

/** Opens a regular file; close it with `using` or `close()`. Takes no client: worker threads may use it. */
export function mmapFile(path: string, options: MmapOptions = {}): MappedFile {
  checkText(path, "path");
  const settings = toSettings(options);
  const { fd, size } = openRegular(path);
  return mappedFile({ path, fd, size, settings });
}

/** How `mmapFile` reads with these options, on this machine. */
export function describeMapping(options: MmapOptions): Pick<MappedFile, "dataPath" | "reason"> {
  const { isMapped, reason } = toSettings(options);
  return { dataPath: isMapped ? "mapped" : "read", reason };
}

export function checkMmapOptions(options: MmapOptions): void {
  const { memoryMapping, mmapSize, zeroCopy } = options;
  if (memoryMapping !== undefined) checkBoolean(memoryMapping, "memoryMapping");
  if (zeroCopy !== undefined) checkBoolean(zeroCopy, "zeroCopy");
  if (mmapSize === undefined || parseSize(mmapSize, "mmapSize") >= mmapBytesMin) return;
  throw invalidArgument("mmapSize", `is ${JSON.stringify(mmapSize)}`, "Give at least 64KiB.");
}

function toSettings(options: MmapOptions): Settings {
  checkKeys(options, optionKeys, "");
  checkMmapOptions(options);
  const { memoryMapping = true, mmapSize = mmapBytesDefault, zeroCopy = true } = options;
  const missing = memoryMapping ? whyNoMaps() : "memoryMapping is false";
  const isMapped = missing === undefined;
  const how = zeroCopy ? "chunks are views of it" : "chunks are copied out of it, since zeroCopy is false";
  return {
    windowBytes: Math.min(parseSize(mmapSize, "mmapSize"), viewBytesMax),
    isMapped,
    isCopied: !zeroCopy,
    reason: isMapped ? `the file is mapped, and ${how}` : `plain reads: ${missing}`,
  };
}

/** A pipe would hold the open until somebody writes, and a device may do anything: neither is opened. */
function openRegular(path: string): { fd: number; size: number } {
  try {
    checkRegular(path, statSync(path));
    const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      const stats = fstatSync(fd);
      checkRegular(path, stats);
      return { fd, size: stats.size };
    } catch (caught) {
      closeSync(fd);
      throw caught;
    }
  } catch (caught) {
    if (caught instanceof MillraceError) throw caught;
    const { code, message } = CodedError.from(caught, `open ${path}`);
    throw new MillraceError(code, message, { field: "path", cause: caught });
  }
}

function checkRegular(path: string, stats: { isFile(): boolean; isDirectory(): boolean }): void {
  if (stats.isFile()) return;
  const what = stats.isDirectory() ? "a directory" : "no regular file";
  throw invalidArgument("path", `names ${what}: ${path}`, "Name a regular file.");
}

interface Open {
  path: string;
  fd: number;
  size: number;
  settings: Settings;
}

function mappedFile({ path, fd, size, settings }: Open): MappedFile {
  let isClosed = false;
  let isReading = false;
  let current: ChunkSource | undefined;

  const failure = (problem: string, remedy: string): MillraceError =>
    new MillraceError("failed_precondition", `read ${path}: ${problem}`, { field: "path", remedy });
  const assertOpen = (): void => {
    if (isClosed) throw failure("it was closed", "Keep it open until the last chunk is done with.");
  };
  const assertReaches = (end: number): void => {
    assertOpen();
    const now = fstatSync(fd).size;
    if (now >= end) return;
    const remedy = "Write a new file and rename it over the old one; it may be gone through meanwhile.";
    throw failure(`it became shorter, from ${size} to ${now} bytes`, remedy);
  };
  const readInto = async (bytes: Uint8Array, offset: number): Promise<void> => {
    isReading = true;
    try {
      for (let at = 0; at < bytes.length && !isClosed; ) {
        const { bytesRead } = await readAt(fd, bytes, at, bytes.length - at, offset + at);
        if (bytesRead === 0) assertReaches(offset + bytes.length);
        at += bytesRead;
      }
    } finally {
      isReading = false;
      if (isClosed) closeSync(fd);
    }
  };

  async function* walk({ from, to, chunkBytes }: Part): AsyncGenerator<Chunk, void, undefined> {
    assertOpen();
    if (current !== undefined) {
      throw failure("it is gone through already", "Finish that iteration first, or open the file once more.");
    }
    const { isCopied, windowBytes } = settings;
    const source = settings.isMapped
      ? mappedChunks({ fd, to, windowBytes: windowBytes - (windowBytes % chunkBytes), assertReaches })
      : readChunks(readInto, isCopied);
    current = source;
    try {
      for (let offset = from; offset < to; offset += chunkBytes) {
        const length = Math.min(chunkBytes, to - offset);
        assertReaches(offset + length);
        const bytes = await source.take(offset, length);
        assertOpen();
        if (isCopied) yield { offset, bytes: settings.isMapped ? bytes.slice() : bytes };
        else yield* lend(offset, bytes);
      }
    } finally {
      source.end();
      current = undefined;
    }
  }

  function* lend(offset: number, bytes: Uint8Array): Generator<Chunk, void, undefined> {
    let isOver = false;
    const get = (): Uint8Array => {
      assertOpen();
      if (!isOver) return bytes;
      const remedy = "Use a chunk before the next one is asked for, or set zeroCopy to false for copies.";
      throw failure(`the chunk at ${offset} is over`, remedy);
    };
    try {
      yield Object.defineProperty({ offset, bytes }, "bytes", { get, enumerable: true });
    } finally {
      isOver = true;
    }
  }

  const close = (): void => {
    if (isClosed) return;
    isClosed = true;
    current?.end();
    // A descriptor that is being read is closed behind the read: its number could be another file's by then.
    if (!isReading) closeSync(fd);
  };
  return {
    path,
    size,
    dataPath: settings.isMapped ? "mapped" : "read",
    reason: settings.reason,
    iterChunks: (options = {}) => walk(toPart(options, size, settings.windowBytes)),
    close,
    [Symbol.dispose]: close,
  };
}

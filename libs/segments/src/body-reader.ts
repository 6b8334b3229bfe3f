import { type FileHandle, open } from "node:fs/promises";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { CodedError } from "@millrace/errors";
import { decodeBatch, type OpenBatch, openBatch } from "@millrace/envelope";
import { createMapCache, type MappedFile, whyNoMaps } from "@millrace/files";
import type { SegmentRange } from "@millrace/proto/batch";
import { createBodyPool } from "./body-pool.js";
import { generationOffset } from "./log/frame.js";

export interface BodyReaderOptions {
  /** Directory of each side that this service may read; raw only for privacy. */
  dirs: { raw?: string; clean?: string };
  /**
   * Bytes of segments mapped at most. Absent or 0: bodies are copied. Mapped ones are read where they lie, so
   * whoever asks for it asks `stillTrue` before what came of them is published.
   */
  mmapBytesMax?: number;
}

/** Fetches the bodies that batches refer to. */
export interface BodyReader {
  /** Decodes a batch from the bus and fetches its body. A mapped one must not be written to. */
  open(bytes: Uint8Array): Promise<OpenBatch>;
  /**
   * Throws `aborted` where the body may have changed since it was opened: its segment got another generation,
   * which happens when the message is settled already and its reader was stopped for long.
   */
  stillTrue(open: OpenBatch): void;
  /** The body of an opened batch is not needed any more; its memory is used again. */
  release(open: OpenBatch): void;
  close(): Promise<void>;
}

/** Segments of 64 MiB: 32 of them span twice what is in flight at full speed. */
const openFilesMax = 32;

/** What has to be given back for a mapped body. */
interface InUse {
  file: MappedFile;
  segment: number;
}

/**
 * Copies with `pread` into pooled memory, or hands out a view of the mapped segment, whose first checksum is
 * the only time that its bytes are touched before the handler does. Either is checked before anybody sees it.
 */
export function createBodyReader(options: BodyReaderOptions): BodyReader {
  const pool = createBodyPool();
  const files = openFiles();
  const maps =
    options.mmapBytesMax === undefined || options.mmapBytesMax === 0 || whyNoMaps() !== undefined
      ? undefined
      : createMapCache(options.mmapBytesMax);
  const inUse = new WeakMap<OpenBatch, InUse>();
  // A batch that failed is never released: its map is given back when nobody holds the batch any more.
  const lost = new FinalizationRegistry<InUse>(({ file }) => maps?.give(file));

  const copy = async (range: SegmentRange, path: string): Promise<Uint8Array> => {
    const file = await files.open(path, range);
    const body = pool.take(range.length).subarray(0, range.length);
    const { bytesRead } = await file.read(body, 0, range.length, range.offset);
    if (bytesRead !== range.length || crc32(body) !== range.crc32) throw changed();
    return body;
  };
  const view = (range: SegmentRange, file: MappedFile): Uint8Array => {
    const body = file.bytes.subarray(range.offset, range.offset + range.length);
    if (generationOf(file) !== range.segment) {
      throw new CodedError("not_found", `read range of ${range.log}: its segment is gone`);
    }
    if (body.length !== range.length || crc32(body) !== range.crc32) throw changed();
    return body;
  };
  const mapped = (range: SegmentRange, path: string): MappedFile | undefined => {
    try {
      return maps?.take(path);
    } catch (cause) {
      throw CodedError.from(cause, `read range of ${range.log}`);
    }
  };
  return {
    open: async (bytes) => {
      const batch = decodeBatch(bytes);
      if (batch.body?.$case !== "range") return openBatch(batch, batch.body?.value ?? new Uint8Array());
      const range = batch.body.value;
      const path = pathOf(options.dirs, range);
      const file = mapped(range, path);
      if (file === undefined) {
        return { ...openBatch(batch, await copy(range, path)), bodyCrc32: range.crc32 };
      }
      try {
        const opened = { ...openBatch(batch, view(range, file)), bodyCrc32: range.crc32 };
        const use = { file, segment: range.segment };
        inUse.set(opened, use);
        lost.register(opened, use, opened);
        return opened;
      } catch (cause) {
        maps?.give(file);
        throw cause;
      }
    },
    stillTrue: (opened) => {
      const use = inUse.get(opened);
      if (use !== undefined && generationOf(use.file) !== use.segment) {
        throw new CodedError("aborted", "read range: the segment was used again meanwhile");
      }
    },
    release: (opened) => {
      const use = inUse.get(opened);
      if (use === undefined) return pool.give(opened.body);
      inUse.delete(opened);
      lost.unregister(opened);
      maps?.give(use.file);
    },
    close: async () => {
      maps?.close();
      files.close();
    },
  };
}

function changed(): CodedError {
  return new CodedError("data_loss", "read range: the checksum of the segment does not match");
}

/** Read anew each time: another process writes it. */
function generationOf({ bytes }: MappedFile): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Number(view.getBigUint64(generationOffset, true));
}

function pathOf(dirs: BodyReaderOptions["dirs"], range: SegmentRange): string {
  const [side, owner] = range.log.split("/");
  const dir = side === "raw" ? dirs.raw : dirs.clean;
  if (dir === undefined || owner === undefined || !/^[a-z0-9-]+$/.test(owner)) {
    throw new CodedError("permission_denied", `read range: no access to segment log ${side}`);
  }
  return join(dir, owner, `${String(range.segment).padStart(8, "0")}.seg`);
}

function openFiles() {
  const files = new Map<string, Promise<FileHandle>>();
  const evict = (): void => {
    const [oldest] = files.keys();
    if (oldest === undefined) return;
    const file = files.get(oldest);
    files.delete(oldest);
    void file?.then((handle) => handle.close()).catch(() => undefined);
  };
  return {
    open: (path: string, range: SegmentRange): Promise<FileHandle> => {
      const known = files.get(path);
      if (known !== undefined) return known;
      const file = open(path, "r").catch((cause: unknown) => {
        throw CodedError.from(cause, `read range of ${range.log}`);
      });
      file.catch(() => files.delete(path));
      files.set(path, file);
      if (files.size > openFilesMax) evict();
      return file;
    },
    close: (): void => {
      while (files.size > 0) evict();
    },
  };
}

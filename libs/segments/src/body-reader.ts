import { type FileHandle, open, readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { CodedError } from "@millrace/errors";
import { decodeBatch, type OpenBatch, openBatch } from "@millrace/envelope";
import { crc32, createMapCache, type MappedFile, whyNoMaps } from "@millrace/files";
import type { Batch, Header, SegmentRange } from "@millrace/proto/batch";
import { createBodyPool } from "./body-pool.js";
import { inferredFolder } from "./body-store.js";
import { generationOffset } from "./log/frame.js";
import { spillDir, spilledBody, spillName } from "./spill/spill-shelf.js";
import { createReadAccounts, type ReadBytes, type Reading, readingOf } from "./reading.js";

/**
 * Where the logs of each side lie. Those of inference that it keeps in a directory of its own are of the
 * clean side too: readers have it as a folder of that, unless they say where.
 */
export interface ReadDirs {
  raw?: string;
  clean?: string;
  inferred?: string;
}

export interface BodyReaderOptions {
  /** Directory of each side that this service may read; raw only for privacy. */
  dirs: ReadDirs;
  /**
   * Bytes of segments mapped at most. Absent or 0: bodies are copied. Mapped ones are read where they lie, so
   * whoever asks for it asks `stillTrue` before what came of them is published.
   */
  mmapBytesMax?: number;
  /** This machine, where bodies of others are to be fetched from them. */
  node?: string;
  /** The bytes of a range that lies on another node; they are checked like any. */
  fetch?: (range: SegmentRange) => Promise<Uint8Array>;
  /** How the bodies of a batch's stream are to be read. Absent: as by default. */
  reading?: (header: Header) => Promise<Reading>;
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
  /** The bytes of a range of this machine, checked: for whoever hands them on to another one. */
  read(range: SegmentRange): Promise<Uint8Array>;
  /** Why bodies are not mapped here, whatever their streams say; undefined where they are. */
  readonly unmappedReason: string | undefined;
  /** What was read of a stream so far, by how. */
  readBytes(tenant: string, stream: string): ReadBytes;
  forget(tenant: string, stream: string): void;
  /**
   * To be called every second: lets go of segments that were deleted, which keep their blocks on the disk for
   * as long as they are mapped or open here.
   */
  letGo(): Promise<void>;
  close(): Promise<void>;
}

const keepMs = 1_000;

/** Keeps a reader up while its service runs. */
export function keepReader(
  reader: BodyReader,
  { clock }: { clock: { sleep(ms: number, signal: AbortSignal): Promise<void> } },
) {
  const stopping = new AbortController();
  const keep = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      await reader.letGo();
      await clock.sleep(keepMs, stopping.signal);
    }
  };
  let keeping: Promise<void> | undefined;
  return {
    name: "body-reader",
    start: async (): Promise<void> => {
      keeping = keep();
    },
    stop: async (): Promise<void> => {
      stopping.abort();
      await keeping;
      await reader.close();
    },
  };
}

/** Segments of 64 MiB: 32 of them span twice what is in flight at full speed. */
const openFilesMax = 32;

/** What has to be given back for a mapped body. */
interface InUse {
  file: MappedFile;
  segment: number;
  account: { held: number };
  bytes: number;
}

/**
 * Copies with `pread` into pooled memory, or hands out a view of the mapped segment, whose first checksum is
 * the only time that its bytes are touched before the handler does. Either is checked before anybody sees it.
 */
export function createBodyReader(options: BodyReaderOptions): BodyReader {
  const pool = createBodyPool();
  const files = openFiles();
  const unmappedReason = whyUnmapped(options);
  const maps = unmappedReason === undefined ? createMapCache(options.mmapBytesMax ?? 0) : undefined;
  const accounts = createReadAccounts();
  const inUse = new WeakMap<OpenBatch, InUse>();
  // A batch that failed is never released: its map is given back when nobody holds the batch any more.
  const lost = new FinalizationRegistry<InUse>((use) => giveBack(use));
  const giveBack = ({ file, account, bytes }: InUse): void => {
    account.held -= bytes;
    maps?.give(file);
  };

  const copy = async (range: SegmentRange, path: string): Promise<Uint8Array> => {
    const file = await files.open(path, range);
    const body = pool.take(range.length).subarray(0, range.length);
    const { bytesRead } = await file.read(body, 0, range.length, range.offset);
    if (bytesRead === range.length && crc32(body) === range.crc32) return body;
    pool.give(body);
    // The file may be held open under a number that it had before.
    const generation = Buffer.alloc(8);
    await file.read(generation, 0, 8, generationOffset);
    if (Number(generation.readBigUInt64LE()) === range.segment) throw changed();
    files.forget(path);
    throw gone(range);
  };
  const checked = (body: Uint8Array, range: SegmentRange, file: MappedFile): Uint8Array => {
    const isTrue = body.length === range.length && crc32(body) === range.crc32;
    if (generationOf(file) !== range.segment) throw gone(range);
    if (!isTrue) throw changed();
    return body;
  };
  const openRange = async (batch: Batch, range: SegmentRange): Promise<OpenBatch> => {
    const { header } = batch;
    const reading = (header && (await options.reading?.(header))) ?? readingOf(undefined);
    const account = accounts.of(header?.tenant ?? "", header?.stream ?? "");
    const path = pathOf(options.dirs, range);
    const hasRoom = account.held + range.length <= reading.mappedBytesMax;
    const file = reading.isMapped && hasRoom ? mapped(range, path) : undefined;
    if (file === undefined) {
      const body = await copy(range, path);
      account.read += range.length;
      return { ...openBatch(batch, body), bodyCrc32: range.crc32 };
    }
    const use = { file, segment: range.segment, account, bytes: range.length };
    account.held += use.bytes;
    let isHeld = false;
    try {
      const view = file.bytes.subarray(range.offset, range.offset + range.length);
      const body = checked(reading.isCopied ? copyOf(view) : view, range, file);
      const opened = { ...openBatch(batch, body), bodyCrc32: range.crc32 };
      account.mapped += range.length;
      isHeld = !reading.isCopied;
      if (isHeld) {
        inUse.set(opened, use);
        lost.register(opened, use, opened);
      }
      return opened;
    } finally {
      if (!isHeld) giveBack(use);
    }
  };
  const copyOf = (view: Uint8Array): Uint8Array => {
    const body = pool.take(view.length).subarray(0, view.length);
    body.set(view);
    return body;
  };
  const mapped = (range: SegmentRange, path: string): MappedFile | undefined => {
    try {
      return maps?.take(path);
    } catch (cause) {
      throw CodedError.from(cause, `read range of ${range.log}`);
    }
  };
  const openElsewhere = async (batch: Batch, range: SegmentRange): Promise<OpenBatch> => {
    if (options.fetch === undefined) {
      throw new CodedError("unavailable", `read range of node ${range.node}: no way to it`, {
        field: "peers",
        remedy: "Name the address where that node serves its ranges.",
      });
    }
    const body = await options.fetch(range);
    if (body.length !== range.length || crc32(body) !== range.crc32) throw changed();
    const opened = { ...openBatch(batch, body), bodyCrc32: range.crc32 };
    accounts.of(opened.header.tenant, opened.header.stream).read += body.length;
    return opened;
  };
  /** A straggler's body lies aside, and its segment is gone or used again. */
  const readAside = async (range: SegmentRange, missing: CodedError): Promise<Uint8Array> => {
    const path = join(dirname(pathOf(options.dirs, range)), spillDir, spillName(range));
    const bytes = await readFile(path).catch(() => {
      throw missing;
    });
    const body = spilledBody(bytes);
    if (body?.length !== range.length || crc32(body) !== range.crc32) throw changed();
    return body;
  };
  const openAside = async (batch: Batch, range: SegmentRange, missing: CodedError): Promise<OpenBatch> => {
    const body = await readAside(range, missing);
    const opened = { ...openBatch(batch, body), bodyCrc32: range.crc32 };
    accounts.of(opened.header.tenant, opened.header.stream).read += body.length;
    return opened;
  };
  /** First in its segment, then aside. */
  const orAside = async <T>(
    range: SegmentRange,
    inSegment: () => Promise<T>,
    aside: (missing: CodedError) => Promise<T>,
  ): Promise<T> => {
    try {
      return await inSegment();
    } catch (caught) {
      const error = CodedError.from(caught, `read range of ${range.log}`);
      if (error.code !== "not_found") throw error;
      return aside(error);
    }
  };
  return {
    open: async (bytes) => {
      const batch = decodeBatch(bytes);
      if (batch.body?.$case === "range") {
        const range = batch.body.value;
        if (options.node !== undefined && range.node !== options.node) return openElsewhere(batch, range);
        return orAside(
          range,
          () => openRange(batch, range),
          (missing) => openAside(batch, range, missing),
        );
      }
      const opened = openBatch(batch, batch.body?.value ?? new Uint8Array());
      accounts.of(opened.header.tenant, opened.header.stream).inline += opened.body.length;
      return opened;
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
      giveBack(use);
    },
    read: (range) =>
      orAside(
        range,
        () => copy(range, pathOf(options.dirs, range)),
        (missing) => readAside(range, missing),
      ),
    unmappedReason,
    readBytes: (tenant, stream) => {
      const { mapped: inPlace, read, inline } = accounts.of(tenant, stream);
      return { mapped: inPlace, read, inline };
    },
    forget: accounts.forget,
    letGo: async () => {
      maps?.letGo();
      await files.letGo();
    },
    close: async () => {
      maps?.close();
      files.close();
    },
  };
}

function whyUnmapped({ mmapBytesMax }: BodyReaderOptions): string | undefined {
  if (mmapBytesMax === undefined) return "this stage copies each";
  return mmapBytesMax === 0 ? "segments.mmapBytesMax is 0" : whyNoMaps();
}

function gone(range: SegmentRange): CodedError {
  return new CodedError("not_found", `read range of ${range.log}: its segment is gone`);
}

function changed(): CodedError {
  return new CodedError("data_loss", "read range: the checksum of the segment does not match");
}

/** Read anew each time: another process writes it. */
function generationOf({ bytes }: MappedFile): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Number(view.getBigUint64(generationOffset, true));
}

function pathOf(dirs: ReadDirs, range: SegmentRange): string {
  const { side = "", owner = "" } = logName.exec(range.log)?.groups ?? {};
  const dir = dirOf(dirs, side);
  if (dir === undefined) {
    throw new CodedError("permission_denied", `read range: no access to segment log ${side}`);
  }
  return join(dir, owner, `${String(range.segment).padStart(8, "0")}.seg`);
}

const logName = new RegExp(`^(?<side>raw|clean|clean/${inferredFolder})/(?<owner>[a-z0-9-]+)$`);

function dirOf({ raw, clean, inferred }: ReadDirs, side: string): string | undefined {
  if (side === "raw") return raw;
  if (side === "clean") return clean;
  if (side !== `clean/${inferredFolder}`) return undefined;
  return inferred ?? (clean === undefined ? undefined : join(clean, inferredFolder));
}

function openFiles() {
  const files = new Map<string, Promise<FileHandle>>();
  const forget = (path: string): void => {
    const file = files.get(path);
    files.delete(path);
    void file?.then((handle) => handle.close()).catch(() => undefined);
  };
  const evict = (): void => {
    const [oldest] = files.keys();
    if (oldest !== undefined) forget(oldest);
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
    forget,
    letGo: async (): Promise<void> => {
      for (const [path, file] of files) {
        const links = await file.then(async (handle) => (await handle.stat()).nlink).catch(() => 0);
        // Opened anew meanwhile, or evicted: that is not the one which was looked at.
        if (links === 0 && files.get(path) === file) forget(path);
      }
    },
    close: (): void => {
      while (files.size > 0) evict();
    },
  };
}

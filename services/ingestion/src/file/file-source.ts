import { join } from "node:path";
import { assert, AssertionError, CodedError } from "@millrace/errors";
import { compilePattern, fileError, type NamePattern, scanDirectory, type ScanLimits } from "@millrace/files";
import {
  createAppendWindow,
  defaultRetryPolicy,
  isWaiting,
  pauseMs,
  type RetryPolicy,
  type Timers,
} from "../source/append-window.js";
import type { SourceReader, SourceReaderStatus } from "../source/source-reader.js";
import type { BlockPool, BlockShare } from "./block-pool.js";
import { fileId } from "./file-identity.js";
import { type FileBytes, type LeasedItem, readFrames } from "./file-reader.js";
import { createLagRate, type LagRate } from "./lag-rate.js";
import {
  defaultFrameLimits,
  type Frame,
  type FrameLimits,
  type LineFramer,
  type Rejection,
} from "./lines/line-framer.js";
import { type FileFormat, messageBytesMax, openContent, readBound } from "./content/open-content.js";
import { framerOf } from "./lives/framer-of.js";
import { type DirectoryWatch, pacedWatch } from "./watch-directory.js";
import { isGzip } from "./content/gzip-bytes.js";
import { repeatFile } from "./repeat/repeated-file.js";
import { checkRoot, openFile, refusal } from "./root.js";
import { hasWork, isFinished, isTailDue, observe, type TrackedFile, trackFile } from "./tracked-file.js";

/**
 * Follows the files of a directory and appends their lines.
 *
 *   scan ──► new key ──► open, ask where to resume ──► read to the size seen ──► at rest ──► gone: forgotten
 *    each poll                     ▲     │ error               ▲                   │
 *                                  └─────┘ at the next scan    └── grown, or its incomplete last line is due
 *
 * Order is kept per file. A file's error is told and leaves the other files alone; an append that is refused
 * is sent again with the same bytes until it is taken.
 */
export interface FileSource extends SourceReader {
  /** Polls until `close`; throws if the pattern is invalid. A directory that can't be read is tried again. */
  start(): void;
  /** An error names paths. */
  status(): FileSourceStatus;
  /**
   * Whether every file that the last scan saw is read to its end and appended. Files that can't be read are
   * left out: `status().lastError` tells of them.
   */
  drained(): boolean;
}

export interface FileSourceStatus extends SourceReaderStatus {
  files: number;
  /** Bytes of the files that are not appended yet. */
  lagBytes: number;
}

/** The file that a frame comes from. Only `key` may leave ingestion as it is: a name is personal data too. */
export interface SourceFile {
  key: string;
  name: string;
}

export interface FileSourceOptions extends Timers {
  tenant: string;
  stream: string;
  /** Absolute directory. */
  path: string;
  pattern: string;
  pollIntervalMs: number;
  /** Passes over each file's content; 1 follows what is appended, more need files that stay as they are. */
  repeat: number;
  /** How a file's bytes become messages. */
  format: FileFormat;
  /** Directories below which files may be read. */
  roots: readonly string[];
  /** Where buffer says that a source resumes. */
  lastPosition(key: string): Promise<number>;
  /**
   * Resolves when durable. The body may be used until then and not longer. It may be called again with the
   * same frame if it threw.
   */
  append(frame: Frame, file: SourceFile): Promise<void>;
  /** As `append`, for a line that is too long. */
  reject(rejection: Rejection, file: SourceFile): Promise<void>;
  /** Tells of changes before the next poll, where the system can. */
  watch?(path: string, onChange: () => void): DirectoryWatch | undefined;
  /** One for all sources of the process: it bounds the bytes that are on their way to buffer. */
  pool: BlockPool;
  tuning?: Partial<FileSourceTuning>;
}

export interface FileSourceTuning {
  frames: FrameLimits;
  /** Files read at once. Each holds at most appendsInFlightMax + 1 blocks. */
  filesInFlightMax: number;
  /** Appends of one file at once. 1 where buffer must see them strictly one after the other. */
  appendsInFlightMax: number;
  /** How long a file must rest until its incomplete last line is taken as complete. */
  settleMs: number;
  retry: RetryPolicy;
  scan: ScanLimits;
  hardLinksAllowed: boolean;
}

export const defaultTuning: FileSourceTuning = {
  frames: defaultFrameLimits,
  filesInFlightMax: 4,
  appendsInFlightMax: 4,
  settleMs: 5_000,
  retry: defaultRetryPolicy,
  scan: { entriesMax: 100_000, filesMax: 10_000 },
  hardLinksAllowed: false,
};

/** What a user's settings must meet when a source is added: throws the CodedError that they should see. */
export async function checkFileSource(
  source: Pick<FileSourceOptions, "path" | "pattern" | "roots">,
): Promise<void> {
  compilePattern(source.pattern);
  await checkRoot(source.path, source.roots);
}

export function createFileSource(options: FileSourceOptions): FileSource {
  return new PolledDirectory(options);
}

class PolledDirectory implements FileSource {
  readonly #options: FileSourceOptions;
  readonly #tuning: FileSourceTuning;
  readonly #blocks: BlockShare;
  readonly #stop = new AbortController();
  readonly #files = new Map<string, TrackedFile>();
  /** Reads in progress by key; at most filesInFlightMax. */
  readonly #active = new Map<string, Promise<void>>();
  readonly #rate: LagRate;
  /** Files with work, in the order of their names; the rest of the last scan. */
  #queue: TrackedFile[] = [];
  /** Refused appends by key. */
  readonly #blocked = new Map<string, CodedError>();
  #directoryError: CodedError | undefined;
  #entryErrors: CodedError[] = [];
  #hasScanned = false;
  /** A read since the last scan was so long that the file has likely grown meanwhile. */
  #isBehind = false;
  #scanMs = 0;
  readonly #watch: ((path: string) => DirectoryWatch | undefined) | undefined;
  #nap = new AbortController();
  #polling: Promise<void> | undefined;

  constructor(options: FileSourceOptions) {
    this.#options = options;
    this.#tuning = { ...defaultTuning, ...options.tuning };
    this.#blocks = options.pool.share();
    this.#rate = createLagRate(options.now);
    this.#watch = pacedWatch(options, {
      signal: this.#stop.signal,
      scanMs: () => this.#scanMs,
      onChange: () => this.#nap.abort(),
    });
    const bytesMax = messageBytesMax(options.format, this.#tuning.frames);
    assert(bytesMax <= this.#blocks.headBytes, "a block's head holds a message");
  }

  start(): void {
    this.#polling ??= this.#poll(compilePattern(this.#options.pattern));
  }

  status(): FileSourceStatus {
    const files = [...this.#files.values()];
    const refused = [...this.#blocked.values()];
    const failed = this.#directoryError ?? refused.find((error) => !isWaiting(error));
    const fileFailed = files.find((file) => file.error !== undefined)?.error;
    const error = failed ?? fileFailed ?? this.#entryErrors[0];
    const lastError = error ?? refused[0];
    const going = error === undefined && lastError !== undefined ? "waiting" : "running";
    const lagBytes = files.reduce((sum, file) => sum + Math.max(0, file.size - file.appendedTo), 0);
    const appended = files.reduce((sum, file) => sum + file.appendedTo, 0);
    return {
      state: failed === undefined ? going : "failed",
      position: `${appended} bytes of ${files.length} ${files.length === 1 ? "file" : "files"}`,
      files: files.length,
      lagBytes,
      // What can't be read has a lag that nobody knows.
      ...(this.#hasScanned && this.#directoryError === undefined
        ? this.#rate.read({ appendedBytes: appended, lagBytes })
        : {}),
      lastError: lastError?.toString(),
    };
  }

  drained(): boolean {
    if (!this.#hasScanned || this.#active.size > 0 || this.#directoryError !== undefined) return false;
    return [...this.#files.values()].every((file) => file.error !== undefined || isFinished(file));
  }

  async close(): Promise<void> {
    this.#stop.abort();
    this.#nap.abort();
    await this.#polling;
    await Promise.all(this.#active.values());
  }

  async #poll(pattern: NamePattern): Promise<void> {
    const { signal } = this.#stop;
    let watch: DirectoryWatch | undefined;
    signal.addEventListener("abort", () => watch?.close(), { once: true });
    while (!signal.aborted) {
      this.#nap = new AbortController();
      this.#isBehind = false;
      const startedMs = this.#options.now();
      await this.#scan(pattern);
      this.#scanMs = this.#options.now() - startedMs;
      if (this.#isClosing()) return;
      if (this.#directoryError === undefined) watch ??= this.#watch?.(this.#options.path);
      this.#fill();
      if (this.#isClosing()) return;
      const { pollIntervalMs } = this.#options;
      const napMs = this.#directoryError === undefined ? pollIntervalMs : this.#tuning.retry.slowMs;
      await this.#options.sleep(napMs, this.#nap.signal).catch(() => undefined);
    }
  }

  async #scan(pattern: NamePattern): Promise<void> {
    const { path, roots } = this.#options;
    try {
      // Checked anew each time: a directory may be replaced by a link that leads out of the root.
      const directory = await checkRoot(path, roots);
      const { found, errors } = await scanDirectory(directory, pattern, this.#tuning.scan);
      const seen = new Set<string>();
      for (const { name, stats } of found) {
        const refused = refusal(stats, join(directory, name), this.#tuning);
        if (refused === undefined) seen.add(this.#see(name, stats, seen));
        else errors.push(refused);
      }
      for (const id of this.#files.keys()) if (!seen.has(id) && !this.#active.has(id)) this.#files.delete(id);
      this.#entryErrors = errors;
      this.#directoryError = undefined;
      const nowMs = this.#options.now();
      this.#queue = [...seen].flatMap((id) => this.#files.get(id) ?? []);
      this.#queue = this.#queue.filter((file) => hasWork(file, nowMs, this.#tuning.settleMs));
      this.#hasScanned = true;
    } catch (caught) {
      this.#directoryError = fileError(caught, path);
    }
  }

  #see(name: string, stats: Parameters<typeof observe>[1]["stats"], seen: Set<string>): string {
    const id = fileId(this.#options, identityOf(stats));
    const isTakenAtRest = this.#options.format.kind === "whole" || isGzip(name);
    const file = this.#files.get(id) ?? trackFile(id, name, isTakenAtRest);
    this.#files.set(id, file);
    // Of a file with two names the first is the one.
    if (!seen.has(id))
      observe(file, { name, stats, repeat: this.#options.repeat, nowMs: this.#options.now() });
    return id;
  }

  /** Starts reads while there is room; called after each scan and after each read. */
  #fill(): void {
    while (!this.#isClosing() && this.#active.size < this.#tuning.filesInFlightMax) {
      const file = this.#queue.shift();
      if (file === undefined) break;
      if (this.#active.has(file.id)) continue;
      const reading = this.#read(file).finally(() => {
        this.#active.delete(file.id);
        this.#fill();
        // Small growth waits for the poll interval, which gathers it into fewer frames.
        if (this.#isBehind && this.#queue.length === 0) this.#nap.abort();
      });
      this.#active.set(file.id, reading);
    }
  }

  async #read(file: TrackedFile): Promise<void> {
    const path = join(this.#options.path, file.name);
    try {
      const directory = await checkRoot(this.#options.path, this.#options.roots);
      const { handle, stats } = await openFile(directory, file.name, this.#tuning);
      try {
        // Swapped since the scan: the next one sees the file under its own key.
        if (fileId(this.#options, identityOf(stats)) !== file.id) return;
        await this.#readOpened(file, handle, Number(stats.size));
      } finally {
        await handle.close();
      }
      file.error = undefined;
    } catch (caught) {
      if (caught instanceof AssertionError) throw caught;
      if (this.#isClosing()) return;
      const error = fileError(caught, path);
      // A file that vanished is finished, and the next scan forgets it.
      file.error = error.code === "not_found" ? undefined : error;
      file.brokenMtimeNs = error.code === "data_loss" ? file.mtimeNs : undefined;
    }
  }

  async #readOpened(file: TrackedFile, handle: FileBytes, storedBytes: number): Promise<void> {
    const { repeat, format } = this.#options;
    const { signal } = this.#stop;
    const content = await openContent(file, { handle, storedBytes, repeat, signal });
    try {
      file.framer = await framerOf(file, content, {
        format,
        isRepeated: repeat > 1,
        limits: this.#tuning.frames,
        isSettled: isTailDue(file, this.#options.now(), this.#tuning.settleMs),
        lastPosition: (key) => this.#resumeAt(file, key),
      });
      // What it begins with is not complete.
      if (file.framer === undefined) return;
      file.appendedTo = Math.max(file.appendedTo, file.framer.framedTo);
      const { size } = content;
      const whole = { size, repeat };
      const bytes = repeat === 1 ? content.bytes : await repeatFile(content.bytes, file, whole);
      await this.#appendAll(file, { handle: bytes, framer: file.framer, size });
    } finally {
      content.close();
    }
  }

  async #appendAll(file: TrackedFile, opened: OpenedForReading): Promise<void> {
    const { signal } = this.#stop;
    const { handle, framer, size } = opened;
    const flushTail = size === file.size && isTailDue(file, this.#options.now(), this.#tuning.settleMs);
    const window = createAppendWindow({
      inFlightMax: this.#tuning.appendsInFlightMax,
      retry: this.#tuning.retry,
      timers: this.#options,
      signal,
      onBlocked: (error) => this.#block(file, error),
      onSettled: (positionTo) => {
        file.appendedTo = positionTo;
      },
    });
    try {
      const range = { to: size, flushTail, ...readBound(this.#options.format) };
      const frames = readFrames(handle, framer, { pool: this.#blocks, range, signal });
      for await (const leased of frames) await window.push(this.#windowItem(file, leased));
      if (size - file.readTo >= this.#blocks.readBytes) this.#isBehind = true;
      file.readTo = size;
      if (this.#options.format.kind === "whole" && framer.framedTo >= size) file.takenMtimeNs = file.mtimeNs;
      await window.drain();
      // Blank lines are in no message.
      if (!signal.aborted) file.appendedTo = Math.max(file.appendedTo, framer.framedTo);
    } finally {
      await window.drain();
      this.#blocked.delete(file.id);
    }
  }

  #windowItem(file: TrackedFile, { item, release }: LeasedItem) {
    const sourceFile = { key: file.key, name: file.name };
    const { append, reject } = this.#options;
    if (item.kind === "frame") this.#rate.note(item.count, item.positionTo - item.positionFrom);
    const send = () => (item.kind === "frame" ? append(item, sourceFile) : reject(item, sourceFile));
    return { positionTo: item.positionTo, send, release };
  }

  async #resumeAt(file: TrackedFile, key: string): Promise<number> {
    const { signal } = this.#stop;
    const { retry } = this.#tuning;
    for (let attempt = 0; !signal.aborted; attempt++) {
      try {
        const position = await this.#options.lastPosition(key);
        this.#block(file, undefined);
        return position;
      } catch (caught) {
        const error = CodedError.from(caught, "asking buffer where to resume");
        this.#block(file, error);
        const pause = pauseMs(error, attempt, { retry, timers: this.#options });
        await this.#options.sleep(pause, signal).catch(() => undefined);
      }
    }
    throw new CodedError("canceled", "the file source is closing");
  }

  #block(file: TrackedFile, error: CodedError | undefined): void {
    if (error === undefined) this.#blocked.delete(file.id);
    else this.#blocked.set(file.id, error);
  }

  #isClosing(): boolean {
    return this.#stop.signal.aborted;
  }
}

interface OpenedForReading {
  handle: FileBytes;
  framer: LineFramer;
  size: number;
}

function identityOf(stats: { dev: bigint; ino: bigint; birthtimeNs: bigint }) {
  return { device: stats.dev, inode: stats.ino, birthtimeNs: stats.birthtimeNs };
}

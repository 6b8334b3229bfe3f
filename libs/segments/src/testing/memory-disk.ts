import { dirname } from "node:path";
import type { Disk, DiskFile } from "../disk/disk.js";

/** What befalls the k-th call: an error, half a write, or the end of the process. */
export type Fault = "EIO" | "ENOSPC" | "short" | "crash";

export interface MemoryFile extends DiskFile {
  links(): Promise<number>;
  truncate(length: number): Promise<void>;
}

/** A disk that keeps apart what was synced from what was only written, and breaks where it is told to. */
export interface MemoryDisk extends Disk {
  open(path: string, mode: "create" | "existing"): Promise<MemoryFile>;
  readFile(path: string): Promise<Uint8Array>;
  /** Names of files by directory, as a reader sees them now. */
  list(directory: string): string[];
  contents(path: string): Buffer;
  /** Calls so far. */
  calls(): number;
  breakAt(call: number, fault: Fault): void;
  /** The process ended; the machine did not: everything written is there. */
  restart(): void;
  /** The machine lost power: of what was not synced, a random part is there. */
  powerCut(random: () => number): void;
}

interface Inode {
  synced: Buffer;
  written: Buffer;
}

interface NameChange {
  directories: string[];
  apply(names: Map<string, Inode>): void;
}

const blockBytes = 64;

/** Counts calls and breaks one of them. */
interface Breaker {
  /** One call; true where a write is to be cut short. */
  step(canBeShort?: boolean): boolean;
  /** Throws where the process ended, or the disk filled up, in the middle of a write. */
  afterCut(): void;
  calls(): number;
  breakAt(call: number, fault: Fault): void;
  mend(): void;
}

function createBreaker(): Breaker {
  let calls = 0;
  let broken: { call: number; fault: Fault } | undefined;
  let isDead = false;
  return {
    step: (canBeShort = false) => {
      if (isDead) throw systemError("DEAD");
      calls += 1;
      if (broken?.call !== calls) return false;
      isDead = broken.fault === "crash";
      if (isDead) return true;
      if (broken.fault === "short") return canBeShort;
      if (broken.fault === "ENOSPC" && canBeShort) return true;
      throw systemError(broken.fault);
    },
    afterCut: () => {
      if (isDead) throw systemError("DEAD");
      if (broken?.fault === "ENOSPC") throw systemError("ENOSPC");
    },
    calls: () => calls,
    breakAt: (call, fault) => {
      broken = { call, fault };
    },
    mend: () => {
      isDead = false;
      broken = undefined;
    },
  };
}

function openFile(inode: Inode, breaker: Breaker): MemoryFile {
  const resize = (length: number): void => {
    const resized = Buffer.alloc(length);
    inode.written.copy(resized);
    inode.written = resized;
  };
  return {
    writev: async (buffers, position) => {
      const all = Buffer.concat(buffers);
      const isCut = breaker.step(true);
      const bytes = isCut ? all.subarray(0, Math.max(1, all.length >> 1)) : all;
      const grown = Buffer.alloc(Math.max(inode.written.length, position + bytes.length));
      inode.written.copy(grown);
      bytes.copy(grown, position);
      inode.written = grown;
      if (isCut) breaker.afterCut();
      return bytes.length;
    },
    read: async (buffer, position) => {
      breaker.step();
      return inode.written.copy(buffer, 0, position, position + buffer.byteLength);
    },
    size: async () => inode.written.length,
    links: async () => 1,
    truncate: async (length) => {
      breaker.step();
      resize(length);
    },
    allocate: async (length) => {
      breaker.step();
      if (length > inode.written.length) resize(length);
    },
    fdatasync: async () => {
      breaker.step();
      inode.synced = Buffer.from(inode.written);
    },
    close: async () => undefined,
  };
}

/** Names as they are and as they would be after a power cut. */
interface Directory {
  find(path: string): Inode;
  has(path: string): boolean;
  /** Names of files. */
  list(directory: string): string[];
  /** Those of directories that hold some, too. */
  entries(directory: string): string[];
  change(directories: string[], apply: NameChange["apply"]): void;
  sync(directory: string): void;
  powerCut(random: () => number): void;
}

function createDirectory(): Directory {
  let names = new Map<string, Inode>();
  const synced = new Map<string, Inode>();
  const changes: NameChange[] = [];
  return {
    find: (path) => {
      const inode = names.get(path);
      if (inode === undefined) throw systemError("ENOENT");
      return inode;
    },
    has: (path) => names.has(path),
    list: (directory) => listOf(names, directory),
    entries: (directory) => {
      const below = [...names.keys()].filter((path) => path.startsWith(`${directory}/`));
      return [...new Set(below.map((path) => path.slice(directory.length + 1).split("/")[0] ?? ""))].sort();
    },
    change: (directories, apply) => {
      apply(names);
      changes.push({ directories, apply });
    },
    sync: (directory) => {
      // A journaling file system keeps the order of changes: what came before lasts too.
      const last = changes.findLastIndex(({ directories }) => directories.includes(directory));
      for (const { apply } of changes.splice(0, last + 1)) apply(synced);
    },
    powerCut: (random) => {
      const kept = Math.floor(random() * (changes.length + 1));
      for (const { apply } of changes.splice(0).slice(0, kept)) apply(synced);
      for (const inode of new Set(synced.values())) loseSome(inode, random);
      names = new Map(synced);
    },
  };
}

export function createMemoryDisk(): MemoryDisk {
  const breaker = createBreaker();
  const directory = createDirectory();
  return {
    open: async (path, mode) => {
      breaker.step();
      if (mode === "existing") return openFile(directory.find(path), breaker);
      if (directory.has(path)) throw systemError("EEXIST");
      const inode: Inode = { synced: Buffer.alloc(0), written: Buffer.alloc(0) };
      directory.change([dirname(path)], (names) => names.set(path, inode));
      breaker.step();
      return openFile(inode, breaker);
    },
    readFile: async (path) => {
      breaker.step();
      return Buffer.from(directory.find(path).written);
    },
    readdir: async (path) => {
      breaker.step();
      return directory.entries(path);
    },
    makeDirectory: async () => undefined,
    rename: async (from, to) => {
      breaker.step();
      const inode = directory.find(from);
      directory.change([dirname(from), dirname(to)], (names) => {
        names.delete(from);
        names.set(to, inode);
      });
      breaker.step();
    },
    unlink: async (path) => {
      breaker.step();
      if (directory.has(path)) directory.change([dirname(path)], (names) => names.delete(path));
    },
    fsyncDir: async (path) => {
      breaker.step();
      directory.sync(path);
    },
    list: (path) => directory.list(path),
    contents: (path) => directory.find(path).written,
    calls: () => breaker.calls(),
    breakAt: (call, fault) => breaker.breakAt(call, fault),
    restart: () => breaker.mend(),
    powerCut: (random) => {
      breaker.mend();
      directory.powerCut(random);
    },
  };
}

/**
 * Any subset of the unsynced blocks, and one of the lengths that the file had or could have had meanwhile.
 */
function loseSome(inode: Inode, random: () => number): void {
  const { synced, written } = inode;
  const longest = Math.max(synced.length, written.length);
  const lengths = [synced.length, written.length, Math.floor(random() * (longest + 1))];
  const length = Math.max(
    Math.min(synced.length, written.length),
    lengths[Math.floor(random() * lengths.length)] ?? 0,
  );
  const left = Buffer.alloc(length);
  for (let at = 0; at < length; at += blockBytes) {
    const from = random() < 0.5 ? synced : written;
    if (at < from.length) from.copy(left, at, at, Math.min(at + blockBytes, length));
  }
  inode.written = left;
  inode.synced = Buffer.from(left);
}

function listOf(names: ReadonlyMap<string, Inode>, directory: string): string[] {
  return [...names.keys()]
    .filter((path) => dirname(path) === directory)
    .map((path) => path.slice(directory.length + 1))
    .sort();
}

function systemError(code: string): Error {
  return Object.assign(new Error(`the test disk fails with ${code}`), { code });
}

/** Deterministic numbers in [0, 1) from a seed (mulberry32). */
export function createRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

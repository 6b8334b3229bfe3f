import { dirname } from "node:path";
import type { Disk, DiskFile } from "../spool/disk.js";

/** What befalls the k-th call: an error, half a write, or the end of the process. */
export type Fault = "EIO" | "ENOSPC" | "short" | "crash";

/** A disk that keeps apart what was synced from what was only written, and breaks where it is told to. */
export interface MemoryDisk extends Disk {
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

export function createMemoryDisk(): MemoryDisk {
  let names = new Map<string, Inode>();
  let syncedNames = new Map<string, Inode>();
  let changes: NameChange[] = [];
  let calls = 0;
  let broken: { call: number; fault: Fault } | undefined;
  let isDead = false;

  /** Counts a call, breaks it if it is its turn; the answer is true where a write is to be cut short. */
  function step(canBeShort = false): boolean {
    if (isDead) throw systemError("DEAD");
    calls += 1;
    if (broken?.call !== calls) return false;
    if (broken.fault === "crash") {
      isDead = true;
      return true;
    }
    if (broken.fault === "short") return canBeShort;
    if (broken.fault === "ENOSPC" && canBeShort) return true;
    throw systemError(broken.fault);
  }

  function change(directories: string[], apply: NameChange["apply"]): void {
    apply(names);
    changes.push({ directories, apply });
    step();
  }

  function find(path: string): Inode {
    const inode = names.get(path);
    if (inode === undefined) throw systemError("ENOENT");
    return inode;
  }

  function openFile(inode: Inode): DiskFile {
    return {
      writev: async (buffers, position) => {
        const all = Buffer.concat(buffers);
        const isCut = step(true);
        const bytes = isCut ? all.subarray(0, all.length >> 1) : all;
        const grown = Buffer.alloc(Math.max(inode.written.length, position + bytes.length));
        inode.written.copy(grown);
        bytes.copy(grown, position);
        inode.written = grown;
        if (isDead) throw systemError("DEAD");
        if (isCut && broken?.fault === "ENOSPC") throw systemError("ENOSPC");
        return isCut ? Math.max(1, bytes.length) : bytes.length;
      },
      read: async (buffer, position) => {
        step();
        return inode.written.copy(buffer, 0, position, position + buffer.byteLength);
      },
      size: async () => inode.written.length,
      truncate: async (length) => {
        step();
        const cut = Buffer.alloc(length);
        inode.written.copy(cut);
        inode.written = cut;
      },
      fdatasync: async () => {
        step();
        inode.synced = Buffer.from(inode.written);
      },
      close: async () => undefined,
    };
  }

  return {
    open: async (path, mode) => {
      if (mode === "existing") {
        step();
        return openFile(find(path));
      }
      if (names.has(path)) throw systemError("EEXIST");
      const inode: Inode = { synced: Buffer.alloc(0), written: Buffer.alloc(0) };
      step();
      change([dirname(path)], (into) => into.set(path, inode));
      return openFile(inode);
    },
    readFile: async (path) => {
      step();
      return Buffer.from(find(path).written);
    },
    readdir: async (path) => {
      step();
      return listOf(names, path);
    },
    makeDirectory: async () => undefined,
    rename: async (from, to) => {
      step();
      const inode = find(from);
      change([dirname(from), dirname(to)], (into) => {
        into.delete(from);
        into.set(to, inode);
      });
    },
    unlink: async (path) => {
      step();
      if (names.has(path)) change([dirname(path)], (into) => into.delete(path));
    },
    fsyncDir: async (path) => {
      step();
      // A journaling file system keeps the order of changes: what came before lasts too.
      const last = changes.findLastIndex(({ directories }) => directories.includes(path));
      for (const { apply } of changes.splice(0, last + 1)) apply(syncedNames);
    },
    list: (directory) => listOf(names, directory),
    contents: (path) => find(path).written,
    calls: () => calls,
    breakAt: (call, fault) => {
      broken = { call, fault };
    },
    restart: () => {
      isDead = false;
      broken = undefined;
    },
    powerCut: (random) => {
      isDead = false;
      broken = undefined;
      const kept = Math.floor(random() * (changes.length + 1));
      for (const { apply } of changes.slice(0, kept)) apply(syncedNames);
      changes = [];
      for (const inode of new Set(syncedNames.values())) loseSome(inode, random);
      names = new Map(syncedNames);
      syncedNames = new Map(names);
    },
  };
}

/** Any subset of the unsynced blocks, and one of the lengths that the file had or could have had meanwhile. */
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

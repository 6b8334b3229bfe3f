import { closeSync, fstatSync, openSync } from "node:fs";
import { type FileMap, mapFile } from "./open-map.js";

/** A mapped file that is in use until it is given back. */
export interface MappedFile {
  readonly bytes: Uint8Array;
}

/**
 * Maps of whole files, kept while they are used and as long as they fit into the bound. A file is known by
 * its inode: one that is used again under a new name keeps its map, whose pages are in place already. One
 * that was deleted would keep its blocks on the disk for as long as it is mapped, so it is let go.
 */
export interface MapCache {
  /** Undefined: the bound is reached by maps that are in use. Errors: those of opening the file. */
  take(path: string): MappedFile | undefined;
  give(file: MappedFile): void;
  /**
   * Ends the maps of files that were deleted, each as soon as it is not in use. Also done whenever a file is
   * mapped; where none is, as on a full disk, somebody has to ask. One call of the system for each map.
   */
  letGo(): void;
  /** Bytes mapped now. */
  bytes(): number;
  /** Ends each map as soon as it is not in use. */
  close(): void;
}

interface Entry extends MappedFile {
  map: FileMap;
  inode: string;
  path: string;
  /** Kept open to learn whether the file still has a name, whatever it is by now. */
  fd: number;
  isDeleted: boolean;
  uses: number;
}

export function createMapCache(mmapBytesMax: number): MapCache {
  // In order of use, the least recent first.
  const byInode = new Map<string, Entry>();
  const byPath = new Map<string, Entry>();
  let mapped = 0;
  let bytesMax = mmapBytesMax;

  const drop = (entry: Entry): void => {
    byInode.delete(entry.inode);
    if (byPath.get(entry.path) === entry) byPath.delete(entry.path);
    mapped -= entry.bytes.length;
    entry.map.close();
    closeSync(entry.fd);
  };
  const letGo = (): void => {
    for (const entry of byInode.values()) {
      entry.isDeleted ||= fstatSync(entry.fd).nlink === 0;
      if (entry.isDeleted && entry.uses === 0) drop(entry);
    }
  };
  const makeRoom = (bytes: number): boolean => {
    for (const entry of byInode.values()) {
      if (mapped + bytes <= bytesMax) break;
      if (entry.uses === 0) drop(entry);
    }
    return mapped + bytes <= bytesMax;
  };
  const use = (entry: Entry): Entry => {
    entry.uses += 1;
    byInode.delete(entry.inode);
    byInode.set(entry.inode, entry);
    return entry;
  };
  const open = (path: string): Entry | undefined => {
    const fd = openSync(path, "r");
    let isKept = false;
    try {
      letGo();
      const { dev, ino, size } = fstatSync(fd);
      const inode = `${dev}:${ino}`;
      const known = byInode.get(inode);
      if (known?.bytes.length === size) {
        byPath.delete(known.path);
        known.path = path;
        byPath.set(path, known);
        return known;
      }
      // A file that became another size is no segment of ours; it is read plainly while its old map is in
      // use.
      if (known !== undefined && known.uses > 0) return undefined;
      if (known !== undefined) drop(known);
      if (!makeRoom(size)) return undefined;
      const map = mapFile(fd);
      mapped += size;
      const entry: Entry = { bytes: map.bytes, map, inode, path, fd, isDeleted: false, uses: 0 };
      isKept = true;
      byInode.set(inode, entry);
      byPath.set(path, entry);
      return entry;
    } finally {
      if (!isKept) closeSync(fd);
    }
  };
  return {
    take: (path) => {
      const entry = byPath.get(path) ?? open(path);
      return entry === undefined ? undefined : use(entry);
    },
    give: (file) => {
      const entry = file as Entry;
      entry.uses -= 1;
      if (entry.isDeleted && entry.uses === 0) drop(entry);
      makeRoom(0);
    },
    letGo,
    bytes: () => mapped,
    close: () => {
      bytesMax = 0;
      makeRoom(0);
    },
  };
}

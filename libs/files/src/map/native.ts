import { createRequire } from "node:module";
import type * as koffi from "koffi";

/** The calls of the C library that mapping takes, with addresses as bigint. */
export interface Native {
  /** Bytes of a page: what offsets into a file must be a multiple of. */
  pageBytes: number;
  /** Maps `length` bytes of a file, read-only and shared: what is written to the file is seen at once. */
  map(fd: number, offset: number, length: number): bigint;
  /** The mapped memory as it is, without a copy. */
  view(address: bigint, length: number): ArrayBuffer;
  /** Puts zeros in place of the file: a view that was forgotten reads zeros, it does not crash. */
  blank(address: bigint, length: number): void;
  unmap(address: bigint, length: number): void;
  advise(address: bigint, length: number, how: "sequential" | "willNeed"): void;
  /**
   * Gives a file its blocks without writing them; false where the file system or the platform cannot. Errors:
   * ENOSPC and others of the disk.
   */
  allocate(fd: number, length: number): boolean;
}

/** Numbers of the C headers that the two platforms have in common. */
const protRead = 1;
const mapShared = 1;
const mapPrivate = 2;
const mapFixed = 0x10;
const advice = { sequential: 2, willNeed: 3 } as const;

/** And those in which they differ. */
const platforms: Readonly<Record<string, { anonymous: number; noReserve: number }>> = {
  linux: { anonymous: 0x20, noReserve: 0x4000 },
  darwin: { anonymous: 0x1000, noReserve: 0x40 },
};

/** What `mmap` answers on failure: all bits set. */
const mapFailed = 0xffff_ffff_ffff_ffffn;

/** Loads koffi, which calls C functions; a string says why that is not possible here. */
export function loadNative(platform: string = process.platform): Native | string {
  const flags = platforms[platform];
  if (flags === undefined) return `mapping files is not built for ${platform}`;
  try {
    return bind(createRequire(import.meta.url)("koffi") as typeof koffi, flags);
  } catch (cause) {
    return `koffi cannot be loaded: ${cause instanceof Error ? cause.message : String(cause)}`;
  }
}

function bind(ffi: typeof koffi, flags: { anonymous: number; noReserve: number }): Native {
  const c = ffi.load(null);
  const mmap = c.func("mmap", "uintptr_t", ["uintptr_t", "size_t", "int", "int", "int", "int64_t"]);
  const munmap = c.func("munmap", "int", ["uintptr_t", "size_t"]);
  const madvise = c.func("madvise", "int", ["uintptr_t", "size_t", "int"]);
  const getpagesize = c.func("getpagesize", "int", []);
  const failed = (call: string): Error => {
    const number = ffi.errno();
    const code = Object.entries(ffi.os.errno).find(([, known]) => known === number)?.[0] ?? String(number);
    return Object.assign(new Error(`${call} failed with ${code}`), { code });
  };
  const zeroOrThrow = (call: string, answer: number): void => {
    if (answer !== 0) throw failed(call);
  };
  return {
    pageBytes: Number(getpagesize()),
    map: (fd, offset, length) => {
      const address = BigInt(mmap(0, length, protRead, mapShared, fd, offset));
      if (address === mapFailed) throw failed("mmap");
      return address;
    },
    view: (address, length) => ffi.view(address, length),
    blank: (address, length) => {
      const how = mapPrivate | mapFixed | flags.anonymous | flags.noReserve;
      if (BigInt(mmap(address, length, protRead, how, -1, 0)) === mapFailed) throw failed("mmap");
    },
    unmap: (address, length) => zeroOrThrow("munmap", munmap(address, length)),
    advise: (address, length, how) => zeroOrThrow("madvise", madvise(address, length, advice[how])),
    allocate: allocator(c, ffi, failed),
  };
}

/** Only Linux has it. */
function allocator(c: koffi.LibraryHandle, ffi: typeof koffi, failed: (call: string) => Error) {
  const { EOPNOTSUPP, ENOSYS, EINVAL } = ffi.os.errno;
  const cannot = new Set([EOPNOTSUPP, ENOSYS, EINVAL]);
  try {
    const fallocate = c.func("fallocate", "int", ["int", "int", "int64_t", "int64_t"]);
    return (fd: number, length: number): boolean => {
      if (fallocate(fd, 0, 0, length) === 0) return true;
      if (cannot.has(ffi.errno())) return false;
      throw failed("fallocate");
    };
  } catch {
    return () => false;
  }
}

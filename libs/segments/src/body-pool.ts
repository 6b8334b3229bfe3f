/**
 * Memory for bodies, used again: a fresh one each costs page faults, and counts toward a major garbage
 * collection every few dozen (measured: a third of a busy service's main thread).
 */
export interface BodyPool {
  /** Memory of at least `bytes`; its content is whatever was in it. */
  take(bytes: number): Uint8Array;
  /** Gives back what `take` answered, or a view into it, when nobody uses it. Other memory is left alone. */
  give(view: Uint8Array): void;
}

/**
 * Blocks of two sizes: a body of 1 MiB, or a bulk one of 12 MiB, that redaction made a quarter longer. Kept
 * idle at most 40 and 120 MiB, of which what was never written to takes no memory; whatever needs more is
 * allocated for itself.
 */
const sizes = [
  { blockBytes: 1280 * 1024, idleMax: 32 },
  { blockBytes: 15 * 1024 * 1024, idleMax: 8 },
] as const;

interface Shelf {
  blockBytes: number;
  idleMax: number;
  idle: ArrayBufferLike[];
}

/** `shared`: memory that threads can use together, without handing it over. */
export function createBodyPool({ shared = false } = {}): BodyPool {
  const allocate = (bytes: number): ArrayBufferLike =>
    shared ? new SharedArrayBuffer(bytes) : Buffer.allocUnsafeSlow(bytes).buffer;
  const shelves: Shelf[] = sizes.map((size) => ({ ...size, idle: [] }));
  const owners = new WeakMap<ArrayBufferLike, Shelf>();
  return {
    take: (bytes) => {
      const shelf = shelves.find(({ blockBytes }) => bytes <= blockBytes);
      if (shelf === undefined) return new Uint8Array(allocate(bytes));
      const known = shelf.idle.pop();
      if (known !== undefined) return new Uint8Array(known);
      const buffer = allocate(shelf.blockBytes);
      owners.set(buffer, shelf);
      return new Uint8Array(buffer);
    },
    give: ({ buffer }) => {
      const shelf = owners.get(buffer);
      if (shelf === undefined || shelf.idle.length >= shelf.idleMax || shelf.idle.includes(buffer)) return;
      shelf.idle.push(buffer);
    },
  };
}

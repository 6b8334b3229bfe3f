/**
 * Memory for bodies of about 1 MiB, used again: a fresh one each costs page faults, and counts toward a major
 * garbage collection every few dozen (measured: a third of a busy service's main thread).
 */
export interface BodyPool {
  /** Memory of at least `bytes`; its content is whatever was in it. */
  take(bytes: number): Uint8Array;
  /** Gives back what `take` answered, or a view into it, when nobody uses it. Other memory is left alone. */
  give(view: Uint8Array): void;
}

/** A body of 1 MiB that redaction made a quarter longer; whatever needs more is allocated for itself. */
const blockBytes = 1280 * 1024;
/** 40 MiB: what two lanes of 16 deliveries hold. */
const idleMax = 32;

export function createBodyPool(): BodyPool {
  const idle: ArrayBufferLike[] = [];
  const owned = new WeakSet<ArrayBufferLike>();
  return {
    take: (bytes) => {
      if (bytes > blockBytes) return Buffer.allocUnsafeSlow(bytes);
      const known = idle.pop();
      if (known !== undefined) return new Uint8Array(known);
      const { buffer } = Buffer.allocUnsafeSlow(blockBytes);
      owned.add(buffer);
      return new Uint8Array(buffer);
    },
    give: ({ buffer }) => {
      if (owned.has(buffer) && idle.length < idleMax && !idle.includes(buffer)) idle.push(buffer);
    },
  };
}

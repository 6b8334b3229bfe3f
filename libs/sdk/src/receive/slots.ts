/**
 * Bounds how many handler calls run at a time; those that wait are served in the order in which they came.
 */
export interface Slots {
  acquire(): Promise<void>;
  release(): void;
  /** Taken now. */
  readonly taken: number;
}

export function createSlots(count: number): Slots {
  let free = count;
  const waiting: (() => void)[] = [];
  return {
    async acquire() {
      if (free > 0) free -= 1;
      else await new Promise<void>((resolve) => waiting.push(resolve));
    },
    release() {
      const next = waiting.shift();
      if (next === undefined) free += 1;
      else next();
    },
    get taken() {
      return count - free;
    },
  };
}

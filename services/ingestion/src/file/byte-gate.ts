/** Bytes that all files of a source may have on their way at once: they bound memory, however many files. */
export interface ByteGate {
  /**
   * Waits, in turn, until there is room, and answers how to give it back. One that is larger than all there
   * is passes alone; after an abort nobody waits.
   */
  take(bytes: number, signal: AbortSignal): Promise<() => void>;
}

export function createByteGate(bytesMax: number): ByteGate {
  const waiting: { bytes: number; pass(): void }[] = [];
  let held = 0;

  const hasRoom = (bytes: number): boolean => held === 0 || held + bytes <= bytesMax;
  const letIn = (): void => {
    for (let [first] = waiting; first !== undefined && hasRoom(first.bytes); [first] = waiting) {
      waiting.shift();
      held += first.bytes;
      first.pass();
    }
  };
  const hold = (bytes: number) => (): void => {
    held -= bytes;
    letIn();
  };

  return {
    take: async (bytes, signal) => {
      if (signal.aborted || (waiting.length === 0 && hasRoom(bytes))) {
        held += bytes;
        return hold(bytes);
      }
      await new Promise<void>((resolve) => {
        const abort = (): void => {
          waiting.splice(waiting.indexOf(entry), 1);
          held += bytes;
          resolve();
        };
        const pass = (): void => {
          signal.removeEventListener("abort", abort);
          resolve();
        };
        const entry = { bytes, pass };
        waiting.push(entry);
        signal.addEventListener("abort", abort, { once: true });
      });
      return hold(bytes);
    },
  };
}

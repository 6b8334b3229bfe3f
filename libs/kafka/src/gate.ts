import type { Clock } from "@millrace/runtime";

/** Open at first; whoever comes while it is closed waits. */
export interface Gate {
  isOpen(): boolean;
  open(): void;
  close(): void;
  /** Resolves when it is open, after so many milliseconds at most. */
  opened(withinMs: number): Promise<void>;
}

export function createGate({ sleep }: Pick<Clock, "sleep">): Gate {
  let isOpen = true;
  let opening = new AbortController();
  return {
    isOpen: () => isOpen,
    open: () => {
      isOpen = true;
      opening.abort();
    },
    close: () => {
      if (!isOpen) return;
      isOpen = false;
      opening = new AbortController();
    },
    opened: async (withinMs) => {
      if (!isOpen) await sleep(withinMs, opening.signal);
    },
  };
}

import type { Aside } from "../quota/stream-quota.js";

/** What a sender has at work at once: while all places are taken, no more of it is read. */
export interface Places {
  enter(): void;
  leave(): void;
  /** Frees the place while something waits for room of its stream: it takes nobody else's meanwhile. */
  aside: Aside;
  /** Whatever is left, no more is read. */
  close(): void;
}

export function createPlaces(from: { pause(): unknown; resume(): unknown }, placesMax: number): Places {
  let taken = 0;
  let isClosed = false;
  const enter = (): void => {
    taken += 1;
    if (taken >= placesMax) from.pause();
  };
  const leave = (): void => {
    taken -= 1;
    if (!isClosed && taken === placesMax - 1) from.resume();
  };
  return {
    enter,
    leave,
    aside: async (waiting) => {
      leave();
      try {
        return await waiting;
      } finally {
        enter();
      }
    },
    close: () => {
      isClosed = true;
      from.pause();
    },
  };
}

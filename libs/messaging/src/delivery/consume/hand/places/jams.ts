import type { Clock } from "@millrace/runtime";

/*
 * Streams that alone are blocked, while PARKED has no room for their batches: jammed. What is in hand of one
 * is given back, and comes again later; one at a time is tried, so that the first that passes ends the jam.
 */
export interface Jams {
  /**
   * What ends the visit; undefined: one of its jammed stream is tried now, or was a moment ago, or enough of
   * others are, so it is to be given back unopened.
   */
  enter(stream: string): (() => void) | undefined;
  has(stream: string): boolean;
  /** PARKED has no room for a batch of the stream. */
  begin(stream: string): void;
  /** A batch of the stream is settled, or parked. */
  end(stream: string): void;
}

export interface JamsOptions {
  clock: Pick<Clock, "monotonic">;
  /** Places that jammed streams may have together; each has one at most. */
  placesMax: number;
  /** Told when a stream's jam begins (+1) and ends (-1). */
  onJam(stream: string, by: 1 | -1): void;
}

/** A try opens the body, which may be large. */
const tryAgainMs = 1_000;
const leaveNothing = (): void => undefined;

export function createJams({ clock, placesMax, onJam }: JamsOptions): Jams {
  /** Streams, and when the next of each may be tried. */
  const jammed = new Map<string, number>();
  const tried = new Set<string>();
  return {
    enter: (stream) => {
      const tryAt = jammed.get(stream);
      if (tryAt === undefined) return leaveNothing;
      if (clock.monotonic() < tryAt || tried.has(stream) || tried.size >= placesMax) return undefined;
      tried.add(stream);
      return () => void tried.delete(stream);
    },
    has: (stream) => jammed.has(stream),
    begin: (stream) => {
      const isNew = !jammed.has(stream);
      jammed.set(stream, clock.monotonic() + tryAgainMs);
      if (isNew) onJam(stream, 1);
    },
    end: (stream) => {
      if (jammed.delete(stream)) onJam(stream, -1);
    },
  };
}

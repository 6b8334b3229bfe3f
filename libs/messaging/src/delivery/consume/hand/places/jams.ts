import type { Clock } from "@millrace/runtime";

/*
 * Streams that alone are blocked, while there is no place to set their batches aside: jammed. What is in
 * hand of one is given back, and comes again later; one at a time is tried, so that the first that passes
 * ends the jam.
 */
export interface Jams {
  /**
   * What ends the visit; undefined: one of its jammed stream is tried now, or was a moment ago, or enough of
   * others are, so it is to be given back unopened.
   */
  enter(stream: string): (() => void) | undefined;
  has(stream: string): boolean;
  /** There is no place to set a batch of the stream aside: PARKED has no room, or the stage has none. */
  begin(stream: string, waitsFor: string): void;
  /** A batch of the stream is settled, or parked. */
  end(stream: string): void;
}

export interface JamsOptions {
  clock: Pick<Clock, "monotonic">;
  /** Places that jammed streams may have together; each has one at most. */
  placesMax: number;
  /** Told when a stream's jam begins (+1) and ends (-1). */
  onJam(stream: string, by: 1 | -1, waitsFor: string): void;
}

/** A try opens the body, which may be large. */
const tryAgainMs = 1_000;
const leaveNothing = (): void => undefined;

export function createJams({ clock, placesMax, onJam }: JamsOptions): Jams {
  /** Streams, when the next of each may be tried, and what the first waited for. */
  const jammed = new Map<string, { tryAt: number; waitsFor: string }>();
  const tried = new Set<string>();
  return {
    enter: (stream) => {
      const tryAt = jammed.get(stream)?.tryAt;
      if (tryAt === undefined) return leaveNothing;
      if (clock.monotonic() < tryAt || tried.has(stream) || tried.size >= placesMax) return undefined;
      tried.add(stream);
      return () => void tried.delete(stream);
    },
    has: (stream) => jammed.has(stream),
    begin: (stream, waitsFor) => {
      const known = jammed.get(stream);
      jammed.set(stream, {
        tryAt: clock.monotonic() + tryAgainMs,
        waitsFor: known?.waitsFor ?? waitsFor,
      });
      if (known === undefined) onJam(stream, 1, waitsFor);
    },
    end: (stream) => {
      const known = jammed.get(stream);
      if (known === undefined) return;
      jammed.delete(stream);
      onJam(stream, -1, known.waitsFor);
    },
  };
}

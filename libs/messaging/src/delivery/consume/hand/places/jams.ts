/*
 * Streams that alone are blocked, while PARKED has no room for their batches: jammed. What is in hand of one
 * is given back, and comes again later; one at a time is tried, so that the first that passes ends the jam.
 */
export interface Jams {
  /**
   * What ends the visit; undefined: another of its jammed stream is tried now, or enough of
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
  /** Places that jammed streams may have together; each has one at most. */
  placesMax: number;
  /** Told when a stream's jam begins (+1) and ends (-1). */
  onJam(stream: string, by: 1 | -1): void;
}

const leaveNothing = (): void => undefined;

export function createJams({ placesMax, onJam }: JamsOptions): Jams {
  const jammed = new Set<string>();
  const tried = new Set<string>();
  return {
    enter: (stream) => {
      if (!jammed.has(stream)) return leaveNothing;
      if (tried.has(stream) || tried.size >= placesMax) return undefined;
      tried.add(stream);
      return () => void tried.delete(stream);
    },
    has: (stream) => jammed.has(stream),
    begin: (stream) => {
      if (jammed.has(stream)) return;
      jammed.add(stream);
      onJam(stream, 1);
    },
    end: (stream) => {
      if (jammed.delete(stream)) onJam(stream, -1);
    },
  };
}

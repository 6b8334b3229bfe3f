import type { CodedError } from "@millrace/errors";

/**
 * Streams whose appends were refused a moment ago by what all share: a stream of the bus, segments, their
 * disk. Who waits for the quota of a stream is counted where that is kept.
 */
export interface Refusals {
  note(by: { sender: string; stream: string }, error: CodedError): void;
  /** Streams by sender and by what they wait for; where none waits any more, 0 once. */
  waiting(): { waiter: string; for: string; streams: number }[];
}

/** Whoever was refused has come again by then. */
const recentMs = 5_000;
/** Beyond it the count is too low, and still above 0. */
const trackedMax = 10_000;

interface Refused {
  waiter: string;
  for: string;
  atMs: number;
}

export function createRefusals(monotonic: () => number): Refusals {
  const recent = new Map<string, Refused>();
  const shown = new Map<string, { waiter: string; for: string }>();
  const keyOf = (one: { waiter: string; for: string }): string => `${one.waiter} ${one.for}`;
  return {
    note: ({ sender, stream }, { code, subject }) => {
      if (code !== "resource_exhausted" || subject === undefined || subject.startsWith("stream:")) return;
      const refused = { waiter: sender, for: subject, atMs: monotonic() };
      const key = `${keyOf(refused)} ${stream}`;
      if (recent.size < trackedMax || recent.has(key)) recent.set(key, refused);
    },
    waiting: () => {
      const counts = new Map([...shown.keys()].map((key) => [key, 0]));
      for (const [key, refused] of recent) {
        if (monotonic() - refused.atMs > recentMs) recent.delete(key);
        else {
          shown.set(keyOf(refused), { waiter: refused.waiter, for: refused.for });
          counts.set(keyOf(refused), (counts.get(keyOf(refused)) ?? 0) + 1);
        }
      }
      const told = [...shown].map(([key, of]) => ({ ...of, streams: counts.get(key) ?? 0 }));
      for (const [key, count] of counts) if (count === 0) shown.delete(key);
      return told;
    },
  };
}

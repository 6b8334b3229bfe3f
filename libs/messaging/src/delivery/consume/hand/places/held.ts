import type { Clock } from "@millrace/runtime";

/*
 * Deliveries that wait unopened, since their stream has as many in hand as it may. Others lie behind them in
 * the consumer, so they must not fill up for long:
 *
 *   64 held ─► 2 s in which fewer than 8 went on ─► the longest queues are thinned to 32 in all
 *          what a thinned stream gets beyond goes back at once, until half of what it kept has gone on
 *
 * Whatever is given back comes late, and its body must be kept for it: a stream of bulk batches, which takes
 * seconds for 64, is to have nothing given back. It goes on, and those behind it have their turn soon.
 */
export interface Held {
  count(): number;
  has(stream: string): boolean;
  hold(stream: string): Promise<Entry>;
  /** The oldest of the stream goes on. */
  goOn(stream: string): void;
  close(): void;
}

/** `later`: it is to be given back; `closed`: so too, since there will be no more work. */
export type Entry = "works" | "later" | "closed";

/** They are references and small bodies. */
export const heldMax = 64;
const keptMax = heldMax / 2;
const standMs = 2_000;
const goneMin = 8;

export function createHeld({ clock, onRoom }: { clock: Pick<Clock, "sleep">; onRoom(): void }): Held {
  const queues = new Map<string, ((as: Entry) => void)[]>();
  /** How many of a thinned stream were kept. */
  const thinned = new Map<string, number>();
  /** That went on in the time that is watched. */
  let gone = 0;
  const closing = new AbortController();
  let count = 0;
  let isWatched = false;

  const longest = (): [string, ((as: Entry) => void)[]] =>
    [...queues].reduce((most, one) => (one[1].length > most[1].length ? one : most));
  const thin = (): void => {
    while (count > keptMax) {
      const [stream, queue] = longest();
      queue.pop()?.("later");
      count -= 1;
      if (queue.length === 0) queues.delete(stream);
      thinned.set(stream, Math.max(1, queue.length));
    }
  };
  const watch = async (): Promise<void> => {
    isWatched = true;
    while (count >= heldMax && !closing.signal.aborted) {
      gone = 0;
      await clock.sleep(standMs, closing.signal);
      if (count >= heldMax && gone < goneMin) thin();
    }
    isWatched = false;
    onRoom();
  };
  return {
    count: () => count,
    has: (stream) => queues.has(stream),
    hold: (stream) => {
      const queue = queues.get(stream) ?? [];
      if (queue.length >= (thinned.get(stream) ?? Number.POSITIVE_INFINITY)) return Promise.resolve("later");
      count += 1;
      queues.set(stream, queue);
      const entered = new Promise<Entry>((goes) => queue.push(goes));
      if (count >= heldMax && !isWatched) void watch();
      return entered;
    },
    goOn: (stream) => {
      const queue = queues.get(stream) ?? [];
      count -= 1;
      gone += 1;
      queue.shift()?.("works");
      if (queue.length * 2 <= (thinned.get(stream) ?? 0)) thinned.delete(stream);
      if (queue.length === 0) queues.delete(stream);
    },
    close: () => {
      closing.abort();
      for (const queue of queues.values()) for (const goes of queue) goes("closed");
      queues.clear();
      count = 0;
    },
  };
}

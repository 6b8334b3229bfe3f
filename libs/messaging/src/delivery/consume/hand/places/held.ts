import type { Clock } from "@millrace/runtime";

/*
 * Deliveries that wait unopened, since their stream has as many in hand as it may. Others lie behind them in
 * the consumer, so they must not fill up for long:
 *
 *   64 held ─► 250 ms in which fewer than 64 went on ─► the longest queues are thinned to 32 in all
 *          what a thinned stream gets beyond goes back at once, until half of what it kept has gone on
 *
 * One stream that is merely busy turns over what is held, and never gets there.
 */
export interface Held {
  count(): number;
  has(stream: string): boolean;
  hold(stream: string): Promise<Entry>;
  /** The oldest of the stream goes on. */
  goOn(stream: string): void;
  /** Between those of the stream that are given back: it takes no more than half as many in that time. */
  apartMs(stream: string): number;
  close(): void;
}

/** `later`: it is to be given back; `closed`: so too, since there will be no more work. */
export type Entry = "works" | "later" | "closed";

/** They are references and small bodies. */
export const heldMax = 64;
const keptMax = heldMax / 2;
const standMs = 250;
const apartMsMin = 3;
const apartMsMax = 20;

interface Thinned {
  kept: number;
  apartMs: number;
}

export function createHeld({ clock, onRoom }: { clock: Pick<Clock, "sleep">; onRoom(): void }): Held {
  const queues = new Map<string, ((as: Entry) => void)[]>();
  const thinned = new Map<string, Thinned>();
  /** That went on since the watch began, by stream. */
  const gone = new Map<string, number>();
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
      const wanted = standMs / 2 / (gone.get(stream) ?? 0);
      const apartMs = Math.min(apartMsMax, Math.max(apartMsMin, wanted));
      thinned.set(stream, { kept: Math.max(1, queue.length), apartMs });
    }
  };
  const watch = async (): Promise<void> => {
    isWatched = true;
    while (count >= heldMax && !closing.signal.aborted) {
      gone.clear();
      await clock.sleep(standMs, closing.signal);
      const went = [...gone.values()].reduce((sum, each) => sum + each, 0);
      if (count >= heldMax && went < heldMax) thin();
    }
    isWatched = false;
    onRoom();
  };
  return {
    count: () => count,
    has: (stream) => queues.has(stream),
    hold: (stream) => {
      const queue = queues.get(stream) ?? [];
      const { kept } = thinned.get(stream) ?? { kept: Number.POSITIVE_INFINITY };
      if (queue.length >= kept) return Promise.resolve("later");
      count += 1;
      queues.set(stream, queue);
      const entered = new Promise<Entry>((goes) => queue.push(goes));
      if (count >= heldMax && !isWatched) void watch();
      return entered;
    },
    goOn: (stream) => {
      const queue = queues.get(stream) ?? [];
      count -= 1;
      if (isWatched) gone.set(stream, (gone.get(stream) ?? 0) + 1);
      queue.shift()?.("works");
      if (queue.length * 2 <= (thinned.get(stream)?.kept ?? 0)) thinned.delete(stream);
      if (queue.length === 0) queues.delete(stream);
    },
    apartMs: (stream) => thinned.get(stream)?.apartMs ?? apartMsMin,
    close: () => {
      closing.abort();
      for (const queue of queues.values()) for (const goes of queue) goes("closed");
      queues.clear();
      count = 0;
    },
  };
}

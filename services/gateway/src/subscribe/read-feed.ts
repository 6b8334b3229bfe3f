import { GapReason, SlowConsumer } from "@millrace/proto/message";
import type { ResultEntry } from "./result-entry.js";
import type { FeedEntry, ResultFeed } from "./result-feed.js";
import { togetherMax } from "./result-responses.js";

/*
 * One subscriber's way through the results of a stream:
 *
 *   behind the feed ──reads from the broker──► reached its floor ──► in the feed ──► nothing left: waits
 *        ▲                                                              │
 *        └── BLOCK: fell below the floor ──────────────────────────────┘   DROP, CONFLATE: leave out instead
 */
export interface FeedItem {
  /** In order, at least one; of several that wait as many as fit a response, or all that are conflated. */
  entries: readonly ResultEntry[];
  /** Of each source id only the last message is wanted. */
  isConflated: boolean;
  /** What was left out before them. */
  skipped: { batches: number; messages: number; reason: GapReason } | undefined;
  /** Results before them may have been discarded by the budget. */
  isDoubtful: boolean;
}

export interface ReadFeedOptions {
  feed: ResultFeed;
  /** First number wanted. */
  from: number;
  slowConsumer: SlowConsumer;
  /** The stream's results from a number up to the feed's floor, from the broker. */
  catchUp(range: { from: number; to: number }): AsyncGenerator<ResultEntry>;
  now(): number;
  signal: AbortSignal;
  /**
   * Tells a subscriber who waits at once, without a turn of its own; false where that can't be: they are the
   * next item then. Most results take this way: promises took a third of the gateway at 1,000 subscribers.
   */
  tellNow?(entries: readonly ResultEntry[]): boolean;
}

/** What waited for longer is left out where the subscriber says so. */
const dropAfterMs = 1_000;

/** An item that was dealt with for so long shows a subscriber that falls behind. */
const stallMs = 1_000;

export async function* readFeed(options: ReadFeedOptions): AsyncGenerator<FeedItem> {
  const { feed, slowConsumer, now, signal } = options;
  const mayLeaveOut =
    slowConsumer === SlowConsumer.SLOW_CONSUMER_DROP || slowConsumer === SlowConsumer.SLOW_CONSUMER_CONFLATE;
  let cursor = options.from - 1;
  let isDoubtful = false;
  // What the feed had read before its next entry for this subscriber; known once it read there.
  let seen: { results: number; messages: number } | undefined;
  // History is read in full: only what waits for a subscriber who had everything is left out.
  let hadAll = false;

  while (!signal.aborted) {
    const floor = feed.floor();
    if (cursor < floor && !(hadAll && mayLeaveOut)) {
      isDoubtful ||= seen !== undefined;
      seen = undefined;
      for await (const entry of options.catchUp({ from: cursor + 1, to: floor })) {
        const startedAt = now();
        yield { entries: [entry], isConflated: false, skipped: undefined, isDoubtful };
        cursor = entry.seq;
        isDoubtful = now() - startedAt > stallMs;
      }
      cursor = Math.max(cursor, floor);
      continue;
    }
    const next = feed.after(cursor);
    if (next === undefined) {
      hadAll = true;
      await feed.arrival(cursor, signal, takeNow);
      continue;
    }
    const known = seen ?? { results: next.resultsBefore, messages: next.messagesBefore };
    const leavesOut = hadAll && mayLeaveOut;
    const isConflated = leavesOut && slowConsumer === SlowConsumer.SLOW_CONSUMER_CONFLATE;
    const entries = leavesOut ? chosen(next) : together(next);
    const [first] = entries;
    const last = entries.at(-1);
    if (first === undefined || last === undefined) return;
    const batches = first.resultsBefore - known.results;
    const messages = first.messagesBefore - known.messages;
    const skipped = batches > 0 ? { batches, messages, reason: reasonOf(slowConsumer) } : undefined;
    yield { entries, isConflated, skipped, isDoubtful };
    isDoubtful = false;
    moveBehind(last);
  }

  function moveBehind(last: FeedEntry): void {
    cursor = last.seq;
    seen = { results: last.resultsBefore + 1, messages: last.messagesBefore + last.count };
  }

  /** Of a subscriber who had everything; whatever is out of the ordinary goes its slower way. */
  function takeNow(): boolean {
    if (options.tellNow === undefined || isDoubtful || signal.aborted) return false;
    for (let next = feed.after(cursor); next !== undefined; next = feed.after(cursor)) {
      const entries = together(next);
      const last = entries.at(-1);
      if (last === undefined || cursor < feed.floor() || !options.tellNow(entries)) return false;
      moveBehind(last);
    }
    return true;
  }

  /** What a subscriber who would rather miss something reads next. */
  function chosen(next: FeedEntry): FeedEntry[] {
    const waiting: FeedEntry[] = [];
    const oldestMs = now() - dropAfterMs;
    for (let entry: FeedEntry | undefined = next; entry !== undefined; entry = feed.after(entry.seq)) {
      if (slowConsumer === SlowConsumer.SLOW_CONSUMER_CONFLATE) waiting.push(entry);
      else if (entry.receivedMs >= oldestMs || entry.seq === feed.last()?.seq) return together(entry);
    }
    return waiting;
  }

  function together(next: FeedEntry): FeedEntry[] {
    const waiting: FeedEntry[] = [];
    let [bytes, messages] = [0, 0];
    for (let entry: FeedEntry | undefined = next; entry !== undefined; entry = feed.after(entry.seq)) {
      bytes += entry.bytes;
      messages += entry.count;
      if (waiting.length > 0 && (bytes > togetherMax.bytes || messages > togetherMax.messages)) break;
      waiting.push(entry);
    }
    return waiting;
  }
}

function reasonOf(slowConsumer: SlowConsumer): GapReason {
  return slowConsumer === SlowConsumer.SLOW_CONSUMER_CONFLATE
    ? GapReason.GAP_REASON_CONFLATED
    : GapReason.GAP_REASON_DROPPED;
}

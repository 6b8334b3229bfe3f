import { GapReason, SlowConsumer } from "@millrace/proto/message";
import type { ResultEntry } from "./result-entry.js";
import type { FeedEntry, ResultFeed } from "./result-feed.js";

/*
 * One subscriber's way through the results of a stream:
 *
 *   behind the feed ──reads from the broker──► reached its floor ──► in the feed ──► nothing left: waits
 *        ▲                                                              │
 *        └── BLOCK: fell below the floor ──────────────────────────────┘   DROP, CONFLATE: leave out instead
 */
export interface FeedItem {
  /** In order, at least one; several only where they are to be conflated. */
  entries: readonly ResultEntry[];
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
        yield { entries: [entry], skipped: undefined, isDoubtful };
        cursor = entry.seq;
        isDoubtful = now() - startedAt > stallMs;
      }
      cursor = Math.max(cursor, floor);
      continue;
    }
    const next = feed.after(cursor);
    if (next === undefined) {
      hadAll = true;
      await feed.arrival(cursor, signal);
      continue;
    }
    const known = seen ?? { results: next.resultsBefore, messages: next.messagesBefore };
    const entries = hadAll && mayLeaveOut ? chosen(next) : [next];
    const [first] = entries;
    const last = entries.at(-1);
    if (first === undefined || last === undefined) return;
    const batches = first.resultsBefore - known.results;
    const messages = first.messagesBefore - known.messages;
    const skipped = batches > 0 ? { batches, messages, reason: reasonOf(slowConsumer) } : undefined;
    yield { entries, skipped, isDoubtful };
    isDoubtful = false;
    cursor = last.seq;
    seen = { results: last.resultsBefore + 1, messages: last.messagesBefore + last.count };
  }

  /** What a subscriber who would rather miss something reads next. */
  function chosen(next: FeedEntry): FeedEntry[] {
    const waiting: FeedEntry[] = [];
    const oldestMs = now() - dropAfterMs;
    for (let entry: FeedEntry | undefined = next; entry !== undefined; entry = feed.after(entry.seq)) {
      if (slowConsumer === SlowConsumer.SLOW_CONSUMER_CONFLATE) waiting.push(entry);
      else if (entry.receivedMs >= oldestMs || entry.seq === feed.last()?.seq) return [entry];
    }
    return waiting;
  }
}

function reasonOf(slowConsumer: SlowConsumer): GapReason {
  return slowConsumer === SlowConsumer.SLOW_CONSUMER_CONFLATE
    ? GapReason.GAP_REASON_CONFLATED
    : GapReason.GAP_REASON_DROPPED;
}

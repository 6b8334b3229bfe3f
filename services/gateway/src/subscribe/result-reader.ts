import type { StoredNumbers } from "@millrace/messaging";
import {
  type Gap,
  GapReason,
  type Message,
  StartAt,
  type SubscribeRequest,
  type SubscribeResponse,
} from "@millrace/proto/message";
import type { Stream } from "@millrace/proto/stream";
import { missingBatches } from "./missing-batches.js";
import type { FeedItem } from "./read-feed.js";
import type { ResultEntry } from "./result-entry.js";
import type { IsWanted } from "./result-filter.js";
import { partsOf } from "./result-responses.js";
import { checkReached, formatToken, parseToken, type Place, seqFrom } from "./resume-token.js";

export interface ResultReaderOptions {
  request: SubscribeRequest;
  stream: Stream;
  isWanted: IsWanted | undefined;
  /** First and last number of the results of all streams. */
  bounds(): Promise<{ first: number; last: number }>;
  /** Which of these numbers are stored; dearer. */
  stored(): Promise<StoredNumbers>;
  /** Resolves when the subscriber has room for the next one. */
  write(response: SubscribeResponse): Promise<void>;
  /** Writes at once; false, and nothing is written, where there is no room. */
  offer(response: SubscribeResponse): boolean;
  signal: AbortSignal;
  /** Told each gap that the subscriber is told. */
  onGap(gap: Gap): void;
}

/** One subscriber: where it is, and what it is told. */
export interface ResultReader {
  /** Answers at once, so that the subscriber knows from where on it will hear everything. */
  begin(): Promise<{ from: number }>;
  onItem(item: FeedItem): Promise<void>;
  /** Tells all of these at once; false where that can't be, and nothing of them is told. */
  tellNow(entries: readonly ResultEntry[]): boolean;
  onSilence(): Promise<void>;
}

export function createResultReader(options: ResultReaderOptions): ResultReader {
  const { request, stream, isWanted, signal } = options;
  let place: Place = { seq: 0, index: "gap" };
  // Results may have been discarded since the token was given: until the next one shows.
  let isResumed = false;

  const say = (more: Partial<SubscribeResponse>): Promise<void> => {
    const resumeToken = formatToken(place, stream.createdMs);
    if (more.gap !== undefined) options.onGap(more.gap);
    return options.write({ messages: [], resumeToken, gap: undefined, places: [], ...more });
  };
  const tellGap = async (next: number | undefined): Promise<void> => {
    const numbers = await options.stored();
    const batches = missingBatches(place, next ?? numbers.last + 1, numbers);
    if (batches > 0) await say({ gap: { batches, messages: 0, reason: GapReason.GAP_REASON_DISCARDED } });
  };
  const tellWanted = async (entry: ResultEntry): Promise<void> => {
    const { seq } = entry;
    const afterIndex = typeof place.index === "number" && seq === place.seq ? place.index : -1;
    for (const { messages, lastIndex } of partsOf(entry.messages(), { afterIndex, isWanted })) {
      if (signal.aborted) return;
      place = { seq, index: lastIndex };
      await say({ messages });
    }
    place = { seq, index: "end" };
  };
  /** What all are told who read all of these from their beginning; none where this subscriber does not. */
  const common = (entries: readonly ResultEntry[]): readonly SubscribeResponse[] | undefined => {
    const [first] = entries;
    const last = entries.at(-1);
    const isWithin = typeof place.index === "number" && first?.seq === place.seq;
    if (first === undefined || last === undefined || isWanted !== undefined || isWithin) return undefined;
    return first === last ? first.whole(stream.createdMs) : [last.joined(entries, stream.createdMs)];
  };
  const tellAll = async (entries: readonly ResultEntry[], seq: number): Promise<void> => {
    const responses = common(entries);
    if (responses === undefined) for (const entry of entries) await tellWanted(entry);
    else
      for (const response of responses) {
        await options.write(response);
        if (signal.aborted) return;
      }
    if (!signal.aborted) place = { seq, index: "end" };
  };
  /** Of each source id the last message, in the order of these. */
  const tellLatest = async (entries: readonly ResultEntry[], seq: number): Promise<void> => {
    const latest = new Map<string, Message>();
    const missed = { batches: 0, messages: 0, reason: GapReason.GAP_REASON_CONFLATED } satisfies Gap;
    const touched = new Map<Message, ResultEntry>();
    const short = new Set<ResultEntry>();
    for (const entry of entries)
      for (const message of entry.messages()) {
        if (isWanted?.(message) === false) continue;
        const earlier = latest.get(message.sourceId);
        if (earlier !== undefined) {
          missed.messages += 1;
          short.add(touched.get(earlier) ?? entry);
          latest.delete(message.sourceId);
        }
        latest.set(message.sourceId, message);
        touched.set(message, entry);
      }
    missed.batches = short.size;
    if (missed.messages > 0) await say({ gap: missed });
    const parts = [...partsOf([...latest.values()], { afterIndex: -1 })];
    for (const [index, { messages }] of parts.entries()) {
      // They are of several results: after a cut they are told again, so the place moves with the last ones.
      if (index === parts.length - 1) place = { seq, index: "end" };
      await say({ messages });
    }
    place = { seq, index: "end" };
  };

  return {
    begin: async () => {
      const { first, last } = await options.bounds();
      if (request.resumeToken === "") {
        const isEarliest = request.startAt === StartAt.START_AT_EARLIEST;
        place = { seq: isEarliest ? Math.max(0, first - 1) : last, index: "gap" };
      } else {
        place = parseToken(request.resumeToken, stream.createdMs);
        checkReached(place, last);
        isResumed = true;
      }
      await say({});
      return { from: seqFrom(place) };
    },
    onItem: async ({ entries, isConflated, skipped, isDoubtful }) => {
      const [first] = entries;
      const last = entries.at(-1);
      if (first === undefined || last === undefined) return;
      const mayHaveGap = isResumed || isDoubtful;
      isResumed = false;
      if (mayHaveGap && first.seq !== seqFrom(place)) await tellGap(first.seq);
      if (skipped !== undefined) await say({ gap: skipped });
      if (isConflated && entries.length > 1) await tellLatest(entries, last.seq);
      else await tellAll(entries, last.seq);
    },
    tellNow: (entries) => {
      const responses = isResumed ? undefined : common(entries);
      const [only] = responses ?? [];
      const last = entries.at(-1);
      if (only === undefined || last === undefined || responses?.length !== 1) return false;
      if (!options.offer(only)) return false;
      place = { seq: last.seq, index: "end" };
      return true;
    },
    onSilence: async () => {
      if (isResumed) await tellGap(undefined);
      isResumed = false;
      await say({});
    },
  };
}

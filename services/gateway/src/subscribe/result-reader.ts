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
import { joinResults, type ResultEntry } from "./result-entry.js";
import type { IsWanted } from "./result-filter.js";
import { partsOf, togetherMax } from "./result-responses.js";
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
  /** Whether anything was told: a filter may want nothing of it. */
  onItem(item: FeedItem): Promise<boolean>;
  /** Tells all of these at once, in so many responses; undefined where that can't be, and nothing is told. */
  tellNow(entries: readonly ResultEntry[]): 0 | 1 | undefined;
  onSilence(): Promise<void>;
}

/** A result by itself may be more than a response. */
const isLarge = ([first, ...others]: readonly ResultEntry[]): boolean =>
  others.length === 0 &&
  first !== undefined &&
  (first.bytes > togetherMax.bytes || first.count > togetherMax.messages);

export function createResultReader(options: ResultReaderOptions): ResultReader {
  const { request, stream, isWanted, signal } = options;
  let place: Place = { seq: 0, index: "gap" };
  // Results may have been discarded since the token was given: until the next one shows.
  let isResumed = false;
  let told = 0;

  const write = (response: SubscribeResponse): Promise<void> => {
    told += 1;
    return options.write(response);
  };
  const say = (more: Partial<SubscribeResponse>): Promise<void> => {
    const resumeToken = formatToken(place, stream.createdMs);
    if (more.gap !== undefined) options.onGap(more.gap);
    return write({ messages: [], resumeToken, gap: undefined, places: [], ...more });
  };
  const tellGap = async (next: number | undefined): Promise<void> => {
    const numbers = await options.stored();
    const batches = missingBatches(place, next ?? numbers.last + 1, numbers);
    if (batches > 0) await say({ gap: { batches, messages: 0, reason: GapReason.GAP_REASON_DISCARDED } });
  };
  /** Whether a part of it was told already. */
  const isWithin = ({ seq }: ResultEntry): boolean => seq === place.seq && typeof place.index === "number";
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
    if (first === undefined || last === undefined || isWanted !== undefined) return undefined;
    if (isWithin(first)) return undefined;
    return first === last ? first.whole(stream.createdMs) : [last.joined(entries, stream.createdMs)];
  };
  const tellAll = async (entries: readonly ResultEntry[], seq: number): Promise<void> => {
    const responses = common(entries);
    if (responses === undefined) for (const entry of entries) await tellWanted(entry);
    else
      for (const response of responses) {
        await write(response);
        if (signal.aborted) return;
      }
    if (!signal.aborted) place = { seq, index: "end" };
  };
  /** All that this subscriber is told of these, where it is one response. */
  const atOnce = (entries: readonly ResultEntry[]): SubscribeResponse | undefined => {
    const responses = common(entries);
    if (responses !== undefined) return responses.length === 1 ? responses[0] : undefined;
    const [first] = entries;
    if (isWanted === undefined || (first && isWithin(first)) || isLarge(entries)) return undefined;
    return joinResults(entries, stream.createdMs, isWanted);
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
      const before = told;
      const [first] = entries;
      const last = entries.at(-1);
      if (first === undefined || last === undefined) return false;
      const mayHaveGap = isResumed || isDoubtful;
      isResumed = false;
      if (mayHaveGap && first.seq !== seqFrom(place)) await tellGap(first.seq);
      if (skipped !== undefined) await say({ gap: skipped });
      if (isConflated && entries.length > 1) await tellLatest(entries, last.seq);
      else await tellAll(entries, last.seq);
      return told > before;
    },
    tellNow: (entries) => {
      const last = entries.at(-1);
      const response = isResumed ? undefined : atOnce(entries);
      if (response === undefined || last === undefined) return undefined;
      const isEmpty = response.messages.length === 0;
      if (!isEmpty && !options.offer(response)) return undefined;
      place = { seq: last.seq, index: "end" };
      return isEmpty ? 0 : 1;
    },
    onSilence: async () => {
      if (isResumed) await tellGap(undefined);
      isResumed = false;
      await say({});
    },
  };
}

import type { StoredNumbers, Tailed } from "@millrace/messaging";
import { StartAt, type SubscribeRequest, type SubscribeResponse } from "@millrace/proto/message";
import type { Stream } from "@millrace/proto/stream";
import { missingBatches } from "./missing-batches.js";
import { resultParts } from "./result-responses.js";
import { checkReached, formatToken, parseToken, type Place, seqFrom } from "./resume-token.js";

export interface ResultReaderOptions {
  request: SubscribeRequest;
  stream: Stream;
  /** First and last number of the results of all streams. */
  bounds(): Promise<{ first: number; last: number }>;
  /** Which of these numbers are stored; dearer. */
  stored(): Promise<StoredNumbers>;
  /** Resolves when the subscriber has room for the next one. */
  write(response: SubscribeResponse): Promise<void>;
  signal: AbortSignal;
  now(): number;
}

/** One subscriber: where it is, and what it is told. */
export interface ResultReader {
  /** Answers at once, so that the subscriber knows from where on it will hear everything. */
  begin(): Promise<{ from: number }>;
  onResult(result: Tailed): Promise<void>;
  onSilence(): Promise<void>;
}

/** A response that had to wait so long for room shows a subscriber that falls behind. */
const stallMs = 1_000;

export function createResultReader(options: ResultReaderOptions): ResultReader {
  const { request, stream, now } = options;
  const sourceIds: ReadonlySet<string> = new Set(request.sourceIds);
  let place: Place = { seq: 0, index: "gap" };
  // Results may have been discarded before they were read: after a resume, until the next one shows, and for
  // as long as the subscriber is behind.
  let isResumed = false;
  let isBehind = false;

  const say = (more: Partial<SubscribeResponse>): Promise<void> => {
    const resumeToken = formatToken(place, stream.createdMs);
    return options.write({ messages: [], resumeToken, gap: undefined, ...more });
  };
  const tellGap = async (next: number | undefined): Promise<void> => {
    const numbers = await options.stored();
    const batches = missingBatches(place, next ?? numbers.last + 1, numbers);
    if (batches > 0) await say({ gap: { batches } });
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
    onResult: async ({ seq, data, pending }) => {
      const isDoubtful = isResumed || isBehind;
      isResumed = false;
      if (isDoubtful && seq !== seqFrom(place)) await tellGap(seq);
      const afterIndex = typeof place.index === "number" && seq === place.seq ? place.index : -1;
      const startedAt = now();
      for (const { messages, lastIndex } of resultParts(data, { afterIndex, sourceIds })) {
        place = { seq, index: lastIndex };
        await say({ messages });
        if (options.signal.aborted) return;
      }
      place = { seq, index: "end" };
      isBehind = pending > 0 && (isBehind || now() - startedAt > stallMs);
    },
    onSilence: async () => {
      if (isResumed) await tellGap(undefined);
      isResumed = false;
      await say({});
    },
  };
}

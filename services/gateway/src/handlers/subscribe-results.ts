import { CodedError } from "@millrace/errors";
import type { Tailed } from "@millrace/messaging";
import { StartAt, type SubscribeRequest, type SubscribeResponse } from "@millrace/proto/message";
import type { Stream } from "@millrace/proto/stream";
import type { ResponseWriter } from "../rpc/server-stream.js";
import { type FindStream, requireStream } from "../stream/stream-name.js";
import { followTail } from "../subscribe/follow-tail.js";
import { missingBatches, type StoredNumbers } from "../subscribe/missing-batches.js";
import { resultParts } from "../subscribe/result-responses.js";
import { checkReached, formatToken, parseToken, type Place, seqFrom } from "../subscribe/resume-token.js";

export interface SubscribeParts {
  tenant: string;
  find: FindStream;
  /** Reads the stream's results from a number on. */
  tail(of: { tenant: string; stream: string }, from: number, signal: AbortSignal): AsyncGenerator<Tailed>;
  /** First and last number of the results of all streams. */
  bounds(): Promise<{ first: number; last: number }>;
  /** Which of these numbers are stored; dearer. */
  stored(): Promise<StoredNumbers>;
  sleep(ms: number, signal: AbortSignal): Promise<void>;
  now(): number;
}

const sourceIdsMax = 1_000;
/** A response that had to wait so long for room shows a reader that falls behind. */
const stallMs = 1_000;

type Writer = ResponseWriter<SubscribeResponse>;

export const subscribeResults =
  (parts: SubscribeParts) =>
  async (request: SubscribeRequest, responses: Writer): Promise<void> => {
    const { tenant, find, sleep } = parts;
    const stream = await requireStream(find, { tenant, name: request.stream });
    checkRequest(request, stream);
    const reader = createReader(parts, responses, { request, stream });
    const { from } = await reader.begin();
    await followTail({
      open: (signal) => parts.tail({ tenant, stream: stream.name }, from, signal),
      sleep,
      signal: responses.signal,
      onItem: reader.onResult,
      onSilence: reader.onSilence,
    });
  };

function createReader(
  { bounds, stored, now }: SubscribeParts,
  responses: Writer,
  { request, stream }: { request: SubscribeRequest; stream: Stream },
) {
  const sourceIds: ReadonlySet<string> = new Set(request.sourceIds);
  const token = (): string => formatToken(place, stream.createdMs);
  const say = (more: Partial<SubscribeResponse>): Promise<void> =>
    responses.write({ messages: [], resumeToken: token(), gap: undefined, ...more });
  let place: Place = { seq: 0, index: "gap" };
  // Whether something may have been discarded between the place and what comes next: after a resume, and as long as
  // the reader has fallen behind.
  let isDoubtful = false;

  const tellGap = async (next: number | undefined): Promise<void> => {
    const numbers = await stored();
    const batches = missingBatches(place, next ?? numbers.last + 1, numbers);
    if (batches > 0) await say({ gap: { batches } });
  };

  return {
    /** Answers at once, so that the subscriber knows from where on it will hear everything. */
    begin: async (): Promise<{ from: number }> => {
      const { first, last } = await bounds();
      if (request.resumeToken !== "") {
        place = parseToken(request.resumeToken, stream.createdMs);
        checkReached(place, last);
        isDoubtful = true;
      } else {
        const isEarliest = request.startAt === StartAt.START_AT_EARLIEST;
        place = { seq: isEarliest ? Math.max(0, first - 1) : last, index: "gap" };
      }
      await say({});
      return { from: seqFrom(place) };
    },
    onResult: async ({ seq, data, pending }: Tailed): Promise<void> => {
      const isInside = typeof place.index === "number" && seq === place.seq;
      if (isDoubtful && !isInside && seq !== seqFrom(place)) await tellGap(seq);
      const startedAt = now();
      const afterIndex = isInside && typeof place.index === "number" ? place.index : -1;
      for (const { messages, lastIndex } of resultParts(data, { afterIndex, sourceIds })) {
        place = { seq, index: lastIndex };
        await say({ messages });
        if (responses.signal.aborted) return;
      }
      place = { seq, index: "end" };
      isDoubtful = pending > 0 && (isDoubtful || now() - startedAt > stallMs);
    },
    onSilence: async (): Promise<void> => {
      if (isDoubtful) await tellGap(undefined);
      isDoubtful = false;
      await say({});
    },
  };
}

function checkRequest({ sourceIds, startAt }: SubscribeRequest, stream: Stream): void {
  if (sourceIds.length > sourceIdsMax) {
    throw new CodedError("invalid_argument", `subscribe: ${sourceIds.length} source ids are too many`, {
      field: "source_ids",
      remedy: `Name at most ${sourceIdsMax}, or none for all.`,
    });
  }
  if (startAt !== StartAt.START_AT_UNSPECIFIED && startAt !== StartAt.START_AT_EARLIEST) {
    throw new CodedError("invalid_argument", "subscribe: that is no known start", {
      field: "start_at",
      remedy: "Use START_AT_EARLIEST, or leave it out to hear what comes from now on.",
    });
  }
  if (stream.outputs?.results === undefined) {
    throw new CodedError("failed_precondition", `subscribe: stream ${stream.name} keeps no results`, {
      field: "stream",
      remedy: "Declare outputs.results with UpdateStream.",
    });
  }
}

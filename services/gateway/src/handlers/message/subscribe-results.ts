import { CodedError } from "@millrace/errors";
import {
  GapReason,
  SlowConsumer,
  StartAt,
  type SubscribeRequest,
  type SubscribeResponse,
} from "@millrace/proto/message";
import type { Stream } from "@millrace/proto/stream";
import type { ResponseWriter } from "../../rpc/server-stream.js";
import { type FindStream, requireStream } from "../../stream/stream-name.js";
import { catchUp, type CatchUpParts } from "../../subscribe/catch-up.js";
import { followTail } from "../../subscribe/follow-tail.js";
import { readFeed } from "../../subscribe/read-feed.js";
import type { ResultFeeds } from "../../subscribe/result-feed.js";
import { wantedBy } from "../../subscribe/result-filter.js";
import { createResultReader, type ResultReaderOptions } from "../../subscribe/result-reader.js";

export interface SubscribeParts extends CatchUpParts {
  tenant: string;
  find: FindStream;
  feeds: ResultFeeds;
  bounds: ResultReaderOptions["bounds"];
  stored: ResultReaderOptions["stored"];
  sleep(ms: number, signal: AbortSignal): Promise<void>;
  countMissed(reason: "discarded" | "dropped" | "conflated", batches: number): void;
}

const reasons: Readonly<Partial<Record<GapReason, "dropped" | "conflated">>> = {
  [GapReason.GAP_REASON_DROPPED]: "dropped",
  [GapReason.GAP_REASON_CONFLATED]: "conflated",
};

export const subscribeResults =
  (parts: SubscribeParts) =>
  async (request: SubscribeRequest, responses: ResponseWriter<SubscribeResponse>): Promise<void> => {
    const { tenant, find, bounds, stored, now, sleep } = parts;
    const { write, offer, signal } = responses;
    const stream = await requireStream(find, { tenant, name: request.stream });
    checkRequest(request, stream);
    const { slowConsumer } = request;
    const of = { tenant, stream: stream.name };
    const reader = createResultReader({
      request,
      stream,
      isWanted: wantedBy(request, { call: "subscribe" }),
      bounds,
      stored,
      write,
      offer,
      signal,
      onGap: ({ reason, batches }) => parts.countMissed(reasons[reason] ?? "discarded", batches),
    });
    const feed = await parts.feeds.open(of);
    try {
      const { from } = await reader.begin();
      await followTail({
        open: (reading, heard) =>
          readFeed({
            feed,
            from,
            slowConsumer,
            catchUp: (range) => catchUp(parts, of, { ...range, signal: reading }),
            now,
            signal: reading,
            tellNow: (entries) => {
              const told = reader.tellNow(entries);
              if (told === 1) heard();
              return told !== undefined;
            },
          }),
        sleep,
        now,
        signal,
        onItem: reader.onItem,
        onSilence: reader.onSilence,
      });
    } finally {
      feed.close();
    }
  };

function checkRequest({ startAt, slowConsumer }: SubscribeRequest, stream: Stream): void {
  if (startAt !== StartAt.START_AT_UNSPECIFIED && startAt !== StartAt.START_AT_EARLIEST) {
    throw new CodedError("invalid_argument", "subscribe: that is no known start", {
      field: "start_at",
      remedy: "Use START_AT_EARLIEST, or leave it out to hear what comes from now on.",
    });
  }
  if (SlowConsumer[slowConsumer] === undefined || slowConsumer === SlowConsumer.UNRECOGNIZED) {
    throw new CodedError("invalid_argument", "subscribe: that is no known policy for slow consumers", {
      field: "slow_consumer",
      remedy: "Use SLOW_CONSUMER_BLOCK, SLOW_CONSUMER_CONFLATE or SLOW_CONSUMER_DROP.",
    });
  }
  if (stream.outputs?.results === undefined) {
    throw new CodedError("failed_precondition", `subscribe: stream ${stream.name} keeps no results`, {
      field: "stream",
      remedy: "Declare outputs.results with UpdateStream.",
    });
  }
}

import { CodedError } from "@millrace/errors";
import type { Tailed } from "@millrace/messaging";
import { StartAt, type SubscribeRequest, type SubscribeResponse } from "@millrace/proto/message";
import type { Stream } from "@millrace/proto/stream";
import type { ResponseWriter } from "../../rpc/server-stream.js";
import { type FindStream, requireStream } from "../../stream/stream-name.js";
import { followTail } from "../../subscribe/follow-tail.js";
import { createResultReader, type ResultReaderOptions } from "../../subscribe/result-reader.js";

export interface SubscribeParts {
  tenant: string;
  find: FindStream;
  /** Reads the stream's results from a number on. */
  tail(of: { tenant: string; stream: string }, from: number, signal: AbortSignal): AsyncGenerator<Tailed>;
  bounds: ResultReaderOptions["bounds"];
  stored: ResultReaderOptions["stored"];
  sleep(ms: number, signal: AbortSignal): Promise<void>;
  now(): number;
}

const sourceIdsMax = 1_000;

export const subscribeResults =
  (parts: SubscribeParts) =>
  async (request: SubscribeRequest, responses: ResponseWriter<SubscribeResponse>): Promise<void> => {
    const { tenant, find, bounds, stored, now, sleep } = parts;
    const { write, signal } = responses;
    const stream = await requireStream(find, { tenant, name: request.stream });
    checkRequest(request, stream);
    const reader = createResultReader({ request, stream, bounds, stored, write, signal, now });
    const { from } = await reader.begin();
    await followTail({
      open: (reading) => parts.tail({ tenant, stream: stream.name }, from, reading),
      sleep,
      now,
      signal,
      onItem: reader.onResult,
      onSilence: reader.onSilence,
    });
  };

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

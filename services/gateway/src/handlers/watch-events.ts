import { CodedError } from "@millrace/errors";
import type { Tailed } from "@millrace/messaging";
import { Event, type WatchEventsRequest, type WatchEventsResponse } from "@millrace/proto/event";
import type { ResponseWriter } from "../rpc/server-stream.js";
import { type FindStream, requireStream } from "../stream/stream-name.js";
import { followTail } from "../subscribe/follow-tail.js";
import { eventTypes } from "../trigger/event-types.js";
import { checkReached, formatToken, parseToken, type Place, seqFrom } from "../subscribe/resume-token.js";

export interface WatchParts {
  tenant: string;
  find: FindStream;
  /** Reads the stream's events from a number on; `type` may be `*`. */
  tail(
    of: { tenant: string; stream: string; type: string },
    from: number,
    signal: AbortSignal,
  ): AsyncGenerator<Tailed>;
  lastSeq(): Promise<number>;
  sleep(ms: number, signal: AbortSignal): Promise<void>;
  now(): number;
}

export const watchEvents =
  ({ tenant, find, tail, lastSeq, sleep, now }: WatchParts) =>
  async (request: WatchEventsRequest, responses: ResponseWriter<WatchEventsResponse>): Promise<void> => {
    const stream = await requireStream(find, { tenant, name: request.stream });
    const types = checkTypes(request.types);
    const last = await lastSeq();
    let place: Place = { seq: last, index: "gap" };
    if (request.resumeToken !== "") {
      place = parseToken(request.resumeToken, stream.createdMs);
      checkReached(place, last);
    }
    const say = (events: Event[]): Promise<void> =>
      responses.write({ events, resumeToken: formatToken(place, stream.createdMs) });
    // At once, so that the watcher knows from where on it will hear everything.
    await say([]);
    const [type, ...others] = types;
    const filter = type === undefined || others.length > 0 ? "*" : type;
    await followTail({
      open: (signal) => tail({ tenant, stream: stream.name, type: filter }, seqFrom(place), signal),
      sleep,
      now,
      signal: responses.signal,
      onItem: async ({ seq, data }) => {
        const event = Event.decode(data);
        place = { seq, index: "end" };
        const isWanted = types.length === 0 || types.includes(event.type);
        if (isWanted) await say([event]);
        return isWanted;
      },
      onSilence: () => say([]),
    });
  };

function checkTypes(types: readonly string[]): string[] {
  if (types.every((type) => eventTypes.includes(type))) return [...new Set(types)];
  throw new CodedError("invalid_argument", "watch events: that is no known type", {
    field: "types",
    remedy: `Use ${eventTypes.join(", ")}, or none for all.`,
  });
}

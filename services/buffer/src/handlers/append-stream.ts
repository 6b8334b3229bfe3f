import type { handleBidiStreamingCall, ServerDuplexStream } from "@grpc/grpc-js";
import type {
  AppendRequest,
  AppendResponse,
  AppendStreamRequest,
  AppendStreamResponse,
} from "@millrace/proto/buffer";
import {
  type Component,
  decoded,
  inServerSpan,
  logFault,
  type Logger,
  metadataOf,
  toStatus,
  toStatusBytes,
} from "@millrace/runtime";
import { createPlaces } from "../accept/places.js";
import type { Aside } from "../quota/stream-quota.js";

/*
 * Many appends over one call: a call of its own for each is a fifth of what both sides do with a small batch.
 *
 *     request ──► working, up to `inFlightMax` ──► response, by its number
 *                   │ ▲
 *                   └─┘ aside: waits for room of its own stream, and takes nobody's place meanwhile
 *     stop, or the caller ends its side ──► no more is read ──► what is worked on is answered ──► end
 *
 * Listed behind its server, so that it stops first: that one waits for open calls.
 */
export interface AppendStreams extends Component {
  serve: handleBidiStreamingCall<AppendStreamRequest, AppendStreamResponse>;
}

export interface AppendStreamsOptions {
  append(request: AppendRequest, aside: Aside): Promise<AppendResponse>;
  log: Logger;
}

type Call = ServerDuplexStream<AppendStreamRequest, AppendStreamResponse>;

/** As many as a connection may have calls. */
const inFlightMax = 100;
const rpc = "millrace.buffer.v1.BufferService/Append";

export function createAppendStreams({ append, log }: AppendStreamsOptions): AppendStreams {
  const open = new Set<{ end(): Promise<void> }>();
  let isStopped = false;

  const answer = async (request: AppendStreamRequest, aside: Aside): Promise<AppendStreamResponse> => {
    const { number, append: asked, trace } = request;
    try {
      const work = (): Promise<AppendResponse> => append(asked ?? noAppend, aside);
      const appended = await inServerSpan(metadataOf(trace), rpc, work);
      return { number, outcome: { $case: "appended", value: appended } };
    } catch (caught) {
      logFault(log, rpc, caught);
      return { number, outcome: { $case: "refused", value: toStatusBytes(caught) } };
    }
  };

  const serve = (call: Call): void => {
    let unanswered = 0;
    const places = createPlaces(call, inFlightMax);
    let isEnding = false;
    let ended = (): void => undefined;
    const whenEnded = new Promise<void>((resolve) => (ended = resolve));
    const endWhenDone = (): void => {
      if (!isEnding || unanswered > 0) return;
      open.delete(stream);
      if (!call.cancelled) call.end();
      ended();
    };
    const end = (): Promise<void> => {
      isEnding = true;
      places.close();
      endWhenDone();
      return whenEnded;
    };
    const stream = { end };
    open.add(stream);
    const take = async (request: AppendStreamRequest): Promise<void> => {
      unanswered += 1;
      places.enter();
      const response = await answer(request, places.aside);
      unanswered -= 1;
      if (!call.cancelled) call.write(response);
      places.leave();
      endWhenDone();
    };
    call.on("data", (received: AppendStreamRequest) => {
      // What was read before the end was known is nobody's: its caller sends it again.
      if (isEnding) return;
      try {
        void take(decoded(received));
      } catch (caught) {
        call.emit("error", toStatus(caught));
      }
    });
    call.on("end", () => void end());
    call.on("cancelled", () => void end());
    if (isStopped) void end();
  };

  return {
    name: "append-streams",
    serve,
    stop: async () => {
      isStopped = true;
      await Promise.all([...open].map((stream) => stream.end()));
    },
  };
}

/** Refused as such by the handler. */
const noAppend: AppendRequest = { batch: undefined, sender: 0 };

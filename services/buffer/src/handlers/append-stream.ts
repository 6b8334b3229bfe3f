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

/*
 * Many appends over one call: a call of its own for each is a fifth of what both sides do with a small batch.
 *
 *     request ──► working, up to `inFlightMax` ──► response, by its number
 *     stop, or the caller ends its side ──► no more is read ──► what is worked on is answered ──► end
 *
 * Listed behind its server, so that it stops first: that one waits for open calls.
 */
export interface AppendStreams extends Component {
  serve: handleBidiStreamingCall<AppendStreamRequest, AppendStreamResponse>;
}

export interface AppendStreamsOptions {
  append(request: AppendRequest): Promise<AppendResponse>;
  log: Logger;
}

type Call = ServerDuplexStream<AppendStreamRequest, AppendStreamResponse>;

/** As many as a connection may have calls. */
const inFlightMax = 100;
const rpc = "millrace.buffer.v1.BufferService/Append";

export function createAppendStreams({ append, log }: AppendStreamsOptions): AppendStreams {
  const open = new Set<{ end(): Promise<void> }>();
  let isStopped = false;

  const answer = async (request: AppendStreamRequest): Promise<AppendStreamResponse> => {
    const { number, append: asked, trace } = request;
    try {
      const work = (): Promise<AppendResponse> => append(asked ?? noAppend);
      const appended = await inServerSpan(metadataOf(trace), rpc, work);
      return { number, outcome: { $case: "appended", value: appended } };
    } catch (caught) {
      logFault(log, rpc, caught);
      return { number, outcome: { $case: "refused", value: toStatusBytes(caught) } };
    }
  };

  const serve = (call: Call): void => {
    let working = 0;
    let isEnding = false;
    let ended = (): void => undefined;
    const whenEnded = new Promise<void>((resolve) => (ended = resolve));
    const endWhenDone = (): void => {
      if (!isEnding || working > 0) return;
      open.delete(stream);
      if (!call.cancelled) call.end();
      ended();
    };
    const end = (): Promise<void> => {
      isEnding = true;
      call.pause();
      endWhenDone();
      return whenEnded;
    };
    const stream = { end };
    open.add(stream);
    const take = async (request: AppendStreamRequest): Promise<void> => {
      working += 1;
      if (working >= inFlightMax) call.pause();
      const response = await answer(request);
      working -= 1;
      if (!call.cancelled) call.write(response);
      if (!isEnding && working === inFlightMax - 1) call.resume();
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

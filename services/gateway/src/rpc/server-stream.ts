import type { handleServerStreamingCall, ServerWritableStream } from "@grpc/grpc-js";
import { CodedError } from "@millrace/errors";
import { decoded, inServerSpan } from "@millrace/runtime";
import type { OpenCalls } from "./open-calls.js";
import { type Serving, statusOf } from "./unary-call.js";

export interface ResponseWriter<R> {
  /**
   * Resolves when there is room for the next one: a slow reader slows its own call, and memory stays bounded.
   */
  write(response: R): Promise<void>;
  /** Writes at once; false, and nothing is written, where there is no room. */
  offer(response: R): boolean;
  /** Aborted when the caller has gone, or with the CodedError that it is told. */
  signal: AbortSignal;
}

export interface StreamServing extends Serving {
  openCalls: OpenCalls;
}

export type StreamHandler<Q, R> = (request: Q, responses: ResponseWriter<R>) => Promise<void>;

/** A server-streaming RPC as an async function that writes until its signal is aborted. */
export function serveStream<Q extends { stream: string }, R>(
  rpc: string,
  serving: StreamServing,
  handle: StreamHandler<Q, R>,
): handleServerStreamingCall<Q, R> {
  return (call) => {
    const run = async (): Promise<void> => {
      const request = decoded(call.request);
      const opened = serving.openCalls.open(request.stream);
      try {
        await handle(request, writerOf(call, opened.signal));
      } finally {
        opened.close();
      }
      // A handler ends in order when its signal tells it to; why is what the caller is told.
      if (opened.signal.aborted) throw opened.signal.reason;
    };
    inServerSpan(call.metadata, rpc, run).then(
      () => call.end(),
      (caught: unknown) => {
        if (!call.cancelled) call.emit("error", statusOf(caught, rpc, serving.log));
      },
    );
  };
}

function writerOf<Q, R>(call: ServerWritableStream<Q, R>, ending: AbortSignal): ResponseWriter<R> {
  const gone = new AbortController();
  call.on("cancelled", () => gone.abort(new CodedError("canceled", "the caller has gone")));
  const signal = AbortSignal.any([ending, gone.signal]);
  return {
    signal,
    write: async (response) => {
      if (signal.aborted) return;
      if (!call.write(response)) await drained(call, signal);
    },
    offer: (response) => {
      if (signal.aborted || call.writableNeedDrain) return false;
      call.write(response);
      return true;
    },
  };
}

function drained<Q, R>(call: ServerWritableStream<Q, R>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      call.removeListener("drain", done);
      signal.removeEventListener("abort", done);
      resolve();
    };
    call.on("drain", done);
    signal.addEventListener("abort", done, { once: true });
  });
}

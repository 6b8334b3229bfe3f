import type { handleClientStreamingCall, ServerReadableStream } from "@grpc/grpc-js";
import { decoded, inServerSpan } from "@millrace/runtime";
import { eachRequest } from "./duplex-call.js";
import { boundedCall, type Deadlines, type Serving, statusOf, type UnaryCall } from "./unary-call.js";

/** Long enough for 8 MiB over 1 Mbit/s. */
const uploadDeadlines: Deadlines = { defaultMs: 60_000, maxMs: 120_000 };

/** What the caller sends, one by one: the next is read when the last one is dealt with. */
export type EachRequest<Q> = (signal: AbortSignal, handle: (request: Q) => Promise<void>) => Promise<void>;

/** A client-streaming RPC as an async function: it reads all that the caller sends, and answers once. */
export function serveUpload<Q, R>(
  rpc: string,
  serving: Serving,
  handle: (each: EachRequest<Q>, call: UnaryCall) => Promise<R>,
): handleClientStreamingCall<Q, R> {
  return (call: ServerReadableStream<Q, R>, done) => {
    const { unaryCall, expired, release } = boundedCall(call, serving.clock, {
      rpc,
      deadlines: uploadDeadlines,
    });
    const each: EachRequest<Q> = (signal, take) =>
      eachRequest(call, AbortSignal.any([signal, unaryCall.signal]), (request) => take(decoded(request)));
    const work = async (): Promise<R> => handle(each, unaryCall);
    inServerSpan(call.metadata, rpc, () => Promise.race([work(), expired]))
      .finally(release)
      .then(
        (response) => done(null, response),
        (caught: unknown) => done(statusOf(caught, rpc, serving.log)),
      );
  };
}

import type { handleBidiStreamingCall, ServerDuplexStream, ServerReadableStream } from "@grpc/grpc-js";
import { inServerSpan } from "@millrace/runtime";
import { type Serving, statusOf } from "./unary-call.js";

/** A bidirectional RPC as an async function: the call ends when it resolves, and with its error otherwise. */
export function serveDuplex<Q, R>(
  rpc: string,
  { log }: Serving,
  serve: (call: ServerDuplexStream<Q, R>) => Promise<void>,
): handleBidiStreamingCall<Q, R> {
  return (call) => {
    inServerSpan(call.metadata, rpc, () => serve(call)).then(
      () => call.end(),
      (caught: unknown) => {
        if (!call.cancelled) call.emit("error", statusOf(caught, rpc, log));
      },
    );
  };
}

/**
 * Hands over the requests of a call one at a time: the next is read when the last one is dealt with, so that
 * a slow handler slows its caller. Resolves when the caller has ended its side. Errors: the handler's, or the
 * reason of the signal.
 *
 * Not `for await`: leaving that loop destroys the call, and no status could be sent any more.
 */
export function eachRequest<Q, R>(
  call: ServerDuplexStream<Q, R> | ServerReadableStream<Q, R>,
  signal: AbortSignal,
  handle: (request: Q) => Promise<void>,
): Promise<void> {
  return new Promise((resolve, reject) => {
    let working: Promise<void> = Promise.resolve();
    const fail = (caught: unknown): void => {
      call.pause();
      call.removeAllListeners("data");
      reject(caught);
    };
    if (signal.aborted) return fail(signal.reason);
    signal.addEventListener("abort", () => fail(signal.reason), { once: true });
    call.on("data", (request: Q) => {
      call.pause();
      working = working
        .then(() => handle(request))
        .then(() => {
          if (!signal.aborted) call.resume();
        });
      working.catch(fail);
    });
    call.on("end", () => void working.then(resolve, fail));
  });
}

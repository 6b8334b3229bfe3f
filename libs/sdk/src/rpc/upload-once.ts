import type { Client, ClientWritableStream, Metadata } from "@grpc/grpc-js";
import type { Method } from "./channel.js";
import { MillraceError } from "./millrace-error.js";

/** What the gateway takes a frame. */
export const frameBytesMax = 256 * 1024;

/** A content in frames, behind what opens its upload. */
export function* framesOf<Open>(
  open: Open,
  content: Uint8Array,
): Generator<{ step: { $case: "open"; value: Open } | { $case: "frame"; value: Uint8Array } }> {
  yield { step: { $case: "open", value: open } };
  for (let at = 0; at < content.length; at += frameBytesMax) {
    yield { step: { $case: "frame", value: content.subarray(at, at + frameBytesMax) } };
  }
}

export interface OneUpload<Request, Response> {
  client: Client;
  metadata: Metadata;
  endMs: number;
  signal: AbortSignal | undefined;
  method: Method<Request, Response>;
  requests: Iterable<Request>;
}

/** A client-streaming call: writes as fast as the connection takes it, and resolves with the one answer. */
export function uploadOnce<Request, Response>(upload: OneUpload<Request, Response>): Promise<Response> {
  const { client, metadata, endMs, signal, method, requests } = upload;
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) {
      reject(new MillraceError("canceled", "canceled before it was sent"));
      return;
    }
    let isAnswered = false;
    const cancel = (): void => call.cancel();
    const call = client.makeClientStreamRequest(
      method.path,
      method.requestSerialize,
      method.responseDeserialize,
      metadata,
      { deadline: endMs },
      (error, response) => {
        isAnswered = true;
        call.emit("answered");
        signal?.removeEventListener("abort", cancel);
        if (error !== null || response === undefined) reject(error ?? new Error("no response"));
        else resolve(response);
      },
    );
    signal?.addEventListener("abort", cancel, { once: true });
    void writeAll(call, requests, () => isAnswered).catch(reject);
  });
}

async function writeAll<Request>(
  call: ClientWritableStream<Request>,
  requests: Iterable<Request>,
  isAnswered: () => boolean,
): Promise<void> {
  for (const request of requests) {
    // Refused before the end: the rest is not wanted.
    if (isAnswered()) return;
    if (!call.write(request)) await roomOrAnswer(call);
  }
  call.end();
}

function roomOrAnswer(call: NodeJS.EventEmitter): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      call.off("drain", done).off("answered", done);
      resolve();
    };
    call.once("drain", done).once("answered", done);
  });
}

import { credentials, Metadata, type ServiceError, status as statusCodes } from "@grpc/grpc-js";
import { PublishRequest, PublishServiceClient } from "@millrace/proto/message";

export interface UnaryOutcome {
  kind: "ok" | "fail" | "unknown";
  /** Name of the gRPC code. */
  code: string;
  tookMs: number;
}

/** Calls Publish as any gRPC client would: once, with a deadline, without the SDK's own retries. */
export interface Unary {
  publish(message: { stream: string; text: string; idempotencyKey?: string }): Promise<UnaryOutcome>;
  close(): void;
}

/** Of a call, unless told otherwise. */
export const deadlineMs = 3_000;

/** After these nothing has happened; after any other the message may be on its way. */
const refusals = new Set([
  statusCodes.INVALID_ARGUMENT,
  statusCodes.NOT_FOUND,
  statusCodes.PERMISSION_DENIED,
  statusCodes.RESOURCE_EXHAUSTED,
  statusCodes.FAILED_PRECONDITION,
  statusCodes.UNIMPLEMENTED,
]);

export function openUnary(address: string, patienceMs = deadlineMs): Unary {
  const client = new PublishServiceClient(address, credentials.createInsecure(), {
    // A service that is started anew is found at once.
    "grpc.initial_reconnect_backoff_ms": 50,
    "grpc.max_reconnect_backoff_ms": 250,
  });
  return {
    publish: ({ stream, text, idempotencyKey = "" }) =>
      new Promise((resolve) => {
        const began = performance.now();
        const request = PublishRequest.fromPartial({
          stream,
          content: { $case: "text", value: text },
          idempotencyKey,
        });
        const deadline = Date.now() + patienceMs;
        client.publish(request, new Metadata(), { deadline }, (error: ServiceError | null) => {
          const tookMs = performance.now() - began;
          if (error === null) return resolve({ kind: "ok", code: "OK", tookMs });
          const kind = refusals.has(error.code) ? "fail" : "unknown";
          resolve({ kind, code: statusCodes[error.code] ?? String(error.code), tookMs });
        });
      }),
    close: () => client.close(),
  };
}

import { Metadata, type ServiceError, type StatusObject } from "@grpc/grpc-js";
import { CodedError, codeOf, codes } from "@millrace/errors";
import { decodeRpcStatus, encodeRpcStatus, type RpcStatus } from "@millrace/proto/rpc-status";

const detailsKey = "grpc-status-details-bin";

/** A CodedError as gRPC status with google.rpc details; what is internal stays inside and only says so. */
export function toStatus(caught: unknown): Partial<StatusObject> {
  const status = rpcStatusOf(caught);
  const metadata = new Metadata();
  metadata.set(detailsKey, Buffer.from(encodeRpcStatus(status)));
  return { code: status.code, details: status.message, metadata };
}

/** The same where it is no call that ends with it: the bytes of a google.rpc.Status. */
export function toStatusBytes(caught: unknown): Buffer {
  return Buffer.from(encodeRpcStatus(rpcStatusOf(caught)));
}

function rpcStatusOf(caught: unknown): RpcStatus {
  const error = CodedError.from(caught);
  const hidden = error.code === "internal" || error.code === "unknown";
  const message = hidden ? "internal error; see the service's log" : error.message;
  const field = hidden ? undefined : error.field;
  const remedy = hidden ? undefined : error.remedy;
  return {
    code: codes[error.code],
    message,
    errorInfo: {
      reason: error.code.toUpperCase(),
      domain: "millrace",
      metadata: { ...(field === undefined ? {} : { field }), ...(remedy === undefined ? {} : { remedy }) },
    },
    // What is exhausted is no bad request, even where a setting is what to raise.
    ...(field === undefined || error.subject !== undefined
      ? {}
      : { fieldViolations: [{ field, description: remedy ?? message }] }),
    ...(error.subject === undefined
      ? {}
      : { quotaViolations: [{ subject: error.subject, description: remedy ?? message }] }),
    ...(error.retryAfterMs === undefined ? {} : { retryDelayMs: error.retryAfterMs }),
  };
}

/** The CodedError that a peer's status carries. */
export function fromStatus(error: ServiceError, attempted: string): CodedError {
  const bytes = error.metadata?.get(detailsKey)[0];
  const details = bytes instanceof Uint8Array ? decodeRpcStatus(bytes) : undefined;
  return codedError({ code: error.code, message: error.details || error.message, details }, attempted, error);
}

/** … that was no call's. */
export function fromStatusBytes(bytes: Uint8Array, attempted: string): CodedError {
  const details = decodeRpcStatus(bytes);
  return codedError({ code: details.code, message: details.message, details }, attempted);
}

function codedError(
  { code, message, details }: { code: number; message: string; details: RpcStatus | undefined },
  attempted: string,
  cause?: unknown,
): CodedError {
  const { field, remedy } = details?.errorInfo?.metadata ?? {};
  const subject = details?.quotaViolations?.[0]?.subject;
  return new CodedError(codeOf(code), `${attempted}: ${message}`, {
    ...(field === undefined ? {} : { field }),
    ...(remedy === undefined ? {} : { remedy }),
    ...(subject === undefined ? {} : { subject }),
    ...(details?.retryDelayMs === undefined ? {} : { retryAfterMs: details.retryDelayMs }),
    ...(cause === undefined ? {} : { cause }),
  });
}

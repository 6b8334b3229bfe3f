import { type Code, CodedError, codeOf, type ErrorDetails } from "@millrace/errors";
import { decodeRpcStatus, type RpcStatus } from "@millrace/proto/rpc-status";
import type { ServiceError } from "@grpc/grpc-js";

/**
 * The one error type of the SDK. `field` is the option or request field at fault, `remedy` what to do about
 * it,
 * `retryAfterMs` how long the server asks to wait; each may be undefined.
 */
export class MillraceError extends CodedError {
  constructor(code: Code, message: string, details: ErrorDetails = {}) {
    super(code, message, details);
    this.name = "MillraceError";
  }

  /** Whether the same call may succeed later without a change by the caller. */
  get retryable(): boolean {
    return retryableCodes.has(this.code);
  }

  /** Turns anything caught into a MillraceError; a gRPC status keeps its code and google.rpc details. */
  static override from(caught: unknown, attempted = "call Millrace"): MillraceError {
    if (caught instanceof MillraceError) return caught;
    if (isServiceError(caught)) return fromStatus(caught, attempted);
    if (caught instanceof Error && caught.name === "AbortError") {
      return new MillraceError("canceled", `${attempted}: canceled`, { cause: caught });
    }
    const coded = CodedError.from(caught, attempted);
    return new MillraceError(coded.code, coded.message, { ...detailsOf(coded), cause: caught });
  }
}

const retryableCodes: ReadonlySet<Code> = new Set([
  "unavailable",
  "resource_exhausted",
  "deadline_exceeded",
  "aborted",
]);

/** What grpc-js says where no connection could be made, as against a server that answered UNAVAILABLE. */
const unreachable =
  /No connection established|Failed to connect|Name resolution failed|ECONNREFUSED|ENOTFOUND/;

/** The system's own words within what grpc-js says. */
const systemReason = /\b(connect|getaddrinfo|read) E[A-Z_]+( [^\s"]+)?/;

export function invalidArgument(field: string, problem: string, remedy: string): MillraceError {
  return new MillraceError("invalid_argument", `${field} ${problem}`, { field, remedy });
}

function isServiceError(caught: unknown): caught is ServiceError {
  return caught instanceof Error && "metadata" in caught && "details" in caught && "code" in caught;
}

function fromStatus(error: ServiceError, attempted: string): MillraceError {
  const code = codeOf(error.code);
  const status = detailsIn(error);
  if (status === undefined && code === "unavailable" && unreachable.test(error.details)) {
    const [reason] = systemReason.exec(error.details) ?? [error.details];
    return new MillraceError(code, `${attempted}: no gateway answers (${reason})`, {
      remedy: "Start Millrace, or check the address.",
      cause: error,
    });
  }
  const metadata = status?.errorInfo?.metadata ?? {};
  const field = status?.fieldViolations?.[0]?.field || metadata["field"];
  return new MillraceError(code, `${attempted}: ${error.details || code}`, {
    ...(field && { field }),
    ...(metadata["remedy"] && { remedy: metadata["remedy"] }),
    ...(status?.retryDelayMs !== undefined && { retryAfterMs: status.retryDelayMs }),
    cause: error,
  });
}

function detailsIn(error: ServiceError): RpcStatus | undefined {
  const [trailer] = error.metadata.get("grpc-status-details-bin");
  if (!(trailer instanceof Uint8Array)) return undefined;
  try {
    return decodeRpcStatus(trailer);
  } catch {
    // A proxy may send details of its own making; code and message are still good.
    return undefined;
  }
}

function detailsOf(error: CodedError): ErrorDetails {
  return {
    ...(error.field !== undefined && { field: error.field }),
    ...(error.remedy !== undefined && { remedy: error.remedy }),
    ...(error.retryAfterMs !== undefined && { retryAfterMs: error.retryAfterMs }),
  };
}

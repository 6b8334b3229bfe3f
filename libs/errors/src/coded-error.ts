import type { Code } from "./code.js";

export interface ErrorDetails {
  /** The request or config field at fault, as the user wrote it: `publish.text`, `sources[0].pattern`. */
  field?: string;
  /** What the user can do about it, as a sentence. */
  remedy?: string;
  /** What is exhausted, as kind and name: `stream:orders`, `bus:clean`. */
  subject?: string;
  /** How long to wait before the same call may succeed, in milliseconds. */
  retryAfterMs?: number;
  /**
   * `stream`: only the stream at hand is blocked, as by its own directory; others go on. Absent: everybody
   * is.
   */
  scope?: "stream";
  cause?: unknown;
}

/**
 * The one error type for what the world does to us. The message says what was attempted and what was wrong;
 * it never holds payload. Mistakes of our own are assertions (see assert.ts) and crash the process.
 */
export class CodedError extends Error {
  readonly code: Code;
  readonly field: string | undefined;
  readonly remedy: string | undefined;
  readonly subject: string | undefined;
  readonly retryAfterMs: number | undefined;
  readonly scope: "stream" | undefined;

  constructor(code: Code, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = "CodedError";
    this.code = code;
    this.field = details.field;
    this.remedy = details.remedy;
    this.subject = details.subject;
    this.retryAfterMs = details.retryAfterMs;
    this.scope = details.scope;
  }

  /**
   * Turns anything that was caught into a CodedError; what it cannot place is `internal`, the original the
   * cause.
   */
  static from(caught: unknown, attempted = "operation"): CodedError {
    if (caught instanceof CodedError) return caught;
    const message = caught instanceof Error ? caught.message : String(caught);
    return new CodedError(codeFromSystem(caught), `${attempted}: ${message}`, { cause: caught });
  }

  /** One line for a person: what, which field, what to do. */
  override toString(): string {
    const field = this.field === undefined ? "" : ` (field: ${this.field})`;
    const remedy = this.remedy === undefined ? "" : ` ${this.remedy}`;
    return `${this.code}: ${this.message}${field}.${remedy}`;
  }
}

/** Node's system errors that mean something to a caller; the rest is `internal`. */
function codeFromSystem(caught: unknown): Code {
  switch ((caught as { code?: unknown } | null)?.code) {
    case "ENOENT":
      return "not_found";
    case "EACCES":
    case "EPERM":
      return "permission_denied";
    case "ENOSPC":
    case "EMFILE":
      return "resource_exhausted";
    case "ECONNREFUSED":
    case "ECONNRESET":
    case "EPIPE":
      return "unavailable";
    case "ETIMEDOUT":
      return "deadline_exceeded";
    default:
      return "internal";
  }
}

/**
 * What may be shown, logged and stored of an error. The message of an error that is not ours may quote
 * payload, as a parser's does; of such a one only its kind is told.
 */
export function shownReason(error: CodedError): string {
  const isOurs = error.code !== "internal" && error.code !== "unknown";
  if (isOurs || error.cause === undefined) return error.message;
  const { cause } = error;
  const kind = cause instanceof Error ? cause.name : typeof cause;
  return `unexpected ${kind}`;
}

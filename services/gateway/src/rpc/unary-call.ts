import type { handleUnaryCall, Metadata } from "@grpc/grpc-js";
import { CodedError } from "@millrace/errors";
import { type Clock, decoded, inServerSpan, type Logger, toStatus } from "@millrace/runtime";

export interface Deadlines {
  /** Of a call that names none. */
  defaultMs: number;
  /** No call holds its resources for longer, whatever its deadline says. */
  maxMs: number;
}

const unaryDeadlines: Deadlines = { defaultMs: 10_000, maxMs: 30_000 };

/** What a handler knows of its call besides the request. */
export interface UnaryCall {
  /** Milliseconds until nobody waits for the answer any more. */
  remainingMs(): number;
  /** Aborted when the caller has gone or the deadline has passed. */
  signal: AbortSignal;
  /** Says who calls. */
  metadata: Metadata;
}

export interface Serving {
  log: Logger;
  clock: Clock;
}

export type UnaryHandler<Q, R> = (request: Q, call: UnaryCall) => Promise<R>;

/** A unary RPC as a plain async function: traced, with a deadline, its errors as gRPC status with details. */
export function serveUnary<Q, R>(
  rpc: string,
  serving: Serving,
  handle: UnaryHandler<Q, R>,
): handleUnaryCall<Q, R> {
  return (call, done) => {
    const { unaryCall, expired, release } = boundedCall(call, serving.clock, {
      rpc,
      deadlines: unaryDeadlines,
    });
    const work = async (): Promise<R> => handle(decoded(call.request), unaryCall);
    inServerSpan(call.metadata, rpc, () => Promise.race([work(), expired]))
      .finally(release)
      .then(
        (response) => done(null, response),
        (caught: unknown) => done(statusOf(caught, rpc, serving.log)),
      );
  };
}

/** The error's status; what is our fault is logged here, since the caller is not told. */
export function statusOf(caught: unknown, rpc: string, log: Logger): ReturnType<typeof toStatus> {
  const error = CodedError.from(caught, rpc);
  if (error.code === "internal" || error.code === "unknown") {
    log.error("rpc failed", { rpc, error: causeOf(caught) });
  }
  return toStatus(error);
}

function causeOf(caught: unknown): string {
  return caught instanceof Error ? (caught.stack ?? caught.message) : String(caught);
}

/** What of a server's call tells how long it is waited for. */
interface Awaited {
  metadata: Metadata;
  getDeadline(): Date | number;
  on(event: "cancelled", listener: () => void): unknown;
}

/** The call as a handler knows it; `expired` rejects at its deadline. To be released when it is over. */
export function boundedCall(call: Awaited, clock: Clock, of: { rpc: string; deadlines: Deadlines }) {
  const { defaultMs, maxMs } = of.deadlines;
  const now = clock.now();
  const asked = Number(call.getDeadline());
  const deadlineAt = Math.min(Number.isFinite(asked) ? asked : now + defaultMs, now + maxMs);
  const ended = new AbortController();
  call.on("cancelled", () => ended.abort());
  const expired = clock.sleep(Math.max(0, deadlineAt - now), ended.signal).then(() => {
    ended.abort();
    throw new CodedError("deadline_exceeded", `${of.rpc}: no answer within the deadline`);
  });
  // Whoever loses the race is not waited for.
  expired.catch(() => undefined);
  const unaryCall: UnaryCall = {
    remainingMs: () => Math.max(0, deadlineAt - clock.now()),
    signal: ended.signal,
    metadata: call.metadata,
  };
  return { unaryCall, expired, release: () => ended.abort() };
}

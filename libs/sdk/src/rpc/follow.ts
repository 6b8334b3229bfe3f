import type { ClientReadableStream } from "@grpc/grpc-js";
import type { Code } from "@millrace/errors";
import { createBackoff } from "./backoff.js";
import type { Channel } from "./channel.js";
import { MillraceError } from "./millrace-error.js";

// A server stream that outlives its connections:
//
//   connecting ──first response──► reading ──cut, silent or ended──► waiting (backoff) ──► connecting
//        └───────────── an error that a new connection does not cure ─────────────► thrown

export interface Followed<Response> {
  attempted: string;
  /** Makes the call, from the place that was reached. */
  open: () => ClientReadableStream<Response>;
  /** Called at the first response of each connection, heartbeats included. */
  onOpen?: () => void;
  signal: AbortSignal;
}

/**
 * Errors that a new connection may cure. The internal and unknown ones come from proxies and torn
 * connections.
 */
const curable: ReadonlySet<Code> = new Set([
  "unavailable",
  "resource_exhausted",
  "deadline_exceeded",
  "aborted",
  "internal",
  "unknown",
  "canceled",
]);

export function isCurable(error: MillraceError): boolean {
  return curable.has(error.code);
}

/**
 * All responses, over as many connections as it takes; ends without an error when the signal fires. It tries
 * for
 * as long as it is read: the wait is bounded, the number of tries is not, since a subscriber has nowhere to
 * go.
 */
export async function* follow<Response>(
  channel: Channel,
  { attempted, open, onOpen, signal }: Followed<Response>,
): AsyncGenerator<Response, void, undefined> {
  const { environment, logger } = channel;
  const backoff = createBackoff(environment);
  while (!signal.aborted) {
    let cut: MillraceError;
    const call = open();
    const cancel = (): void => call.cancel();
    signal.addEventListener("abort", cancel, { once: true });
    try {
      let isFirst = true;
      for await (const response of withSilenceLimit(call, environment.silenceMaxMs)) {
        if (isFirst) onOpen?.();
        isFirst = false;
        backoff.reset();
        yield response;
        if (signal.aborted) return;
      }
      cut = new MillraceError("unavailable", `${attempted}: the server ended the stream`);
    } catch (caught) {
      cut = MillraceError.from(caught, attempted);
    } finally {
      signal.removeEventListener("abort", cancel);
      call.cancel();
    }
    if (signal.aborted) return;
    if (!isCurable(cut)) throw cut;
    const waitMs = Math.max(backoff.next(), cut.retryAfterMs ?? 0);
    const fields = { code: cut.code, reason: cut.message, waitMs: Math.round(waitMs) };
    logger.info(fields, "stream is cut, connecting again");
    await environment.sleep(waitMs, signal);
  }
}

/**
 * The responses of one call; throws `unavailable` when none came for so long while somebody waited for one.
 */
export async function* withSilenceLimit<Response>(
  call: AsyncIterable<Response>,
  silenceMaxMs: number,
): AsyncGenerator<Response, void, undefined> {
  const responses: AsyncIterator<Response> = call[Symbol.asyncIterator]();
  for (;;) {
    const result = await within(responses.next(), silenceMaxMs);
    if (result.done === true) return;
    yield result.value;
  }
}

async function within<Result>(pending: Promise<Result>, silenceMaxMs: number): Promise<Result> {
  let timer: NodeJS.Timeout | undefined;
  const silence = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new MillraceError("unavailable", `nothing was heard for ${silenceMaxMs} ms`));
    }, silenceMaxMs);
    // Its call keeps the process, where there is one.
    timer.unref();
  });
  try {
    return await Promise.race([pending, silence]);
  } finally {
    clearTimeout(timer);
    // After a silence the read is still open, and fails when the call is canceled.
    pending.catch(() => undefined);
  }
}

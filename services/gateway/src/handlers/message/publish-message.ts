import type { PublishRequest, PublishResponse, StreamedMessage } from "@millrace/proto/message";
import type { CameBy } from "../../publish/outgoing-row.js";
import type { Published, Publisher, Target } from "../../publish/publisher.js";
import { unknownOutcome } from "../../publish/push-source.js";
import type { UnaryCall } from "../../rpc/unary-call.js";
import { type FindStream, requireStream } from "../../stream/stream-name.js";

export interface PublishParts {
  tenant: string;
  find: FindStream;
  publisher: Publisher;
  /** The caller's trace, as `append` wants it. */
  activeTrace(): unknown;
  sleep(ms: number, signal: AbortSignal): Promise<void>;
}

export const publishMessage =
  (parts: PublishParts) =>
  async (request: PublishRequest, call: UnaryCall): Promise<PublishResponse> => {
    const stream = await requireStream(parts.find, { tenant: parts.tenant, name: request.stream });
    const to = { tenant: parts.tenant, stream };
    const published = await publishWithin(parts, call, { to, message: request, key: request.idempotencyKey });
    const { messageId, source, position, durability } = published;
    return { messageId, position: { source, offset: position }, durability };
  };

export interface ToPublish {
  to: Target;
  message: StreamedMessage;
  key: string;
  cameBy?: CameBy;
}

/**
 * So much of the deadline is left for the answer to travel: late, it would be cut off by the library's own.
 */
const answerMs = 100;

/**
 * Publishes and waits until the message is durable, or the deadline is near. What was sent by then goes on:
 * its outcome is unknown to the caller, not to us. Errors: `unavailable` then.
 */
export async function publishWithin(
  { publisher, activeTrace, sleep }: PublishParts,
  call: UnaryCall,
  { to, message, key, cameBy = "request" }: ToPublish,
): Promise<Published> {
  const waited = new AbortController();
  const late = sleep(Math.max(0, call.remainingMs() - answerMs), waited.signal).then(() => {
    throw unknownOutcome();
  });
  late.catch(() => undefined);
  const publishing = publisher.publish(to, message, { idempotencyKey: key, trace: activeTrace(), cameBy });
  try {
    return await Promise.race([publishing, late]);
  } finally {
    waited.abort();
  }
}

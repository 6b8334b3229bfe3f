import { request as requestPlain } from "node:http";
import { type RequestOptions, request as requestTls } from "node:https";
import type { IncomingMessage } from "node:http";
import type { EgressTarget } from "@millrace/runtime";
import type { ActionOutcome } from "../action.js";

export interface WebhookRequest {
  /** Checked: the connection goes to the addresses that were. */
  target: Pick<EgressTarget, "url" | "lookup" | "ca">;
  headers: Readonly<Record<string, string>>;
  body: string;
  signal: AbortSignal;
}

export interface WebhookLimits {
  connectMs: number;
  totalMs: number;
  replyBytesMax: number;
}

export const webhookLimits: WebhookLimits = {
  connectMs: 3_000,
  totalMs: 10_000,
  replyBytesMax: 64 * 1024,
};

/** Longest wait that a target may ask for. */
const retryAfterMaxMs = 3_600_000;

/**
 * One POST, without redirects and without a connection that outlives it. The status decides; of the reply's
 * body 64 KiB are read at most, and thrown away.
 */
export async function postWebhook(
  { target, headers, body, signal }: WebhookRequest,
  limits: WebhookLimits,
  now: () => number,
): Promise<ActionOutcome> {
  const { url, lookup, ca } = target;
  const bytes = Buffer.from(body);
  const options: RequestOptions = {
    method: "POST",
    lookup,
    agent: false,
    ...(ca !== undefined && { ca }),
    headers: { ...headers, "content-type": "application/json", "content-length": bytes.length },
    signal: AbortSignal.any([signal, AbortSignal.timeout(limits.totalMs)]),
  };
  const send = url.protocol === "https:" ? requestTls : requestPlain;
  return new Promise((resolve) => {
    const sent = send(url, options);
    const connecting = AbortSignal.timeout(limits.connectMs);
    const tooSlow = (): void => {
      sent.destroy(new Error("no connection in time"));
    };
    connecting.addEventListener("abort", tooSlow);
    const connected = (): void => connecting.removeEventListener("abort", tooSlow);
    sent.on("socket", (socket) =>
      socket.once(url.protocol === "https:" ? "secureConnect" : "connect", connected),
    );
    sent.on("error", (error) => {
      connected();
      resolve({ kind: "failed", reason: reasonOf(error, signal) });
    });
    sent.on("response", (reply) => void discard(reply, limits).then(() => resolve(outcomeOf(reply, now()))));
    sent.end(bytes);
  });
}

/** A reply that does not end, or errs, is one whose status is known. */
async function discard(reply: IncomingMessage, { replyBytesMax }: WebhookLimits): Promise<void> {
  let bytes = 0;
  try {
    for await (const chunk of reply) {
      bytes += (chunk as Buffer).length;
      if (bytes > replyBytesMax) break;
    }
  } catch {
    // The deadline ended it.
  }
  reply.destroy();
}

function outcomeOf(reply: IncomingMessage, nowMs: number): ActionOutcome {
  const status = reply.statusCode ?? 0;
  if (status >= 200 && status < 300) return { kind: "done" };
  if (status === 410) return { kind: "gone", reason: "the target answered 410" };
  const reason =
    status >= 300 && status < 400
      ? `the target answered ${status}, and no redirect is followed`
      : `the target answered ${status}`;
  const retryAfterMs = retryAfter(reply.headers["retry-after"], nowMs);
  return { kind: "failed", reason, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) };
}

/** Seconds or a date. */
function retryAfter(value: string | undefined, nowMs: number): number | undefined {
  if (value === undefined) return undefined;
  const waitMs = /^\d{1,9}$/.test(value) ? Number(value) * 1_000 : Date.parse(value) - nowMs;
  return Number.isFinite(waitMs) ? Math.min(Math.max(waitMs, 0), retryAfterMaxMs) : undefined;
}

/** By its code only: messages of the system name addresses. */
function reasonOf(error: NodeJS.ErrnoException, signal: AbortSignal): string {
  if (signal.aborted) return "output was stopping";
  if (error.name === "AbortError" || error.name === "TimeoutError")
    return "no answer within the time allowed";
  return error.code === undefined ? error.message : `no answer: ${error.code}`;
}

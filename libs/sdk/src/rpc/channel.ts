import { setMaxListeners } from "node:events";
import {
  type ChannelCredentials,
  Client,
  type ClientDuplexStream,
  type ClientReadableStream,
  credentials,
  Metadata,
} from "@grpc/grpc-js";
import { createBackoff } from "./backoff.js";
import type { Environment, Logger } from "./environment.js";
import { MillraceError } from "./millrace-error.js";
import { uploadOnce } from "./upload-once.js";

/** What a generated method definition has and a call needs. */
export interface Method<Request, Response> {
  path: string;
  requestSerialize: (request: Request) => Buffer;
  responseDeserialize: (bytes: Buffer) => Response;
}

export interface UnaryOptions {
  /** What the call is for, as the beginning of an error's message: `create stream live`. */
  attempted: string;
  deadlineMs?: number;
  signal?: AbortSignal;
  /** The call may be made again after an unknown outcome: it reads, or carries a key. Default true. */
  repeatable?: boolean;
}

/** One connection and what all its calls share. */
export interface Channel {
  readonly environment: Environment;
  readonly logger: Logger;
  readonly deadlineMs: number;
  /** Whether writes get a key of our own, so that they can be repeated. */
  readonly idempotency: boolean;
  unary<Request, Response>(
    method: Method<Request, Response>,
    request: Request,
    options: UnaryOptions,
  ): Promise<Response>;
  /** A client-streaming call; `requests` may be read several times, once a try. */
  upload<Request, Response>(
    method: Method<Request, Response>,
    requests: () => Iterable<Request>,
    options: UnaryOptions,
  ): Promise<Response>;
  readable<Request, Response>(
    method: Method<Request, Response>,
    request: Request,
  ): ClientReadableStream<Response>;
  duplex<Request, Response>(method: Method<Request, Response>): ClientDuplexStream<Request, Response>;
  /** Fires when the channel closes, which ends all its streams. */
  readonly closed: AbortSignal;
  close(): void;
}

export interface ChannelOptions {
  address: string;
  credentials?: ChannelCredentials;
  serverName?: string;
  token?: string;
  deadlineMs: number;
  idempotency: boolean;
  logger: Logger;
  environment: Environment;
}

const attemptsMax = 4;
/** Long enough for 8 MiB over 1 Mbit/s. */
const uploadDeadlineMs = 60_000;

const channelLimits = {
  // A response holds about 1 MiB, or one image of up to 10 MiB.
  "grpc.max_receive_message_length": 16 * 1024 * 1024,
  "grpc.max_send_message_length": 4 * 1024 * 1024,
  // A dead peer is found after 40 s at the latest; servers take pings that are ≥ 20 s apart.
  "grpc.keepalive_time_ms": 30_000,
  "grpc.keepalive_timeout_ms": 10_000,
  // Each client has a connection of its own, so that closing one never touches another.
  "grpc.use_local_subchannel_pool": 1,
  // Kept short, since our own backoff stands above it.
  "grpc.initial_reconnect_backoff_ms": 100,
  "grpc.min_reconnect_backoff_ms": 100,
  "grpc.max_reconnect_backoff_ms": 1_000,
};

export function openChannel(options: ChannelOptions): Channel {
  const client = new Client(
    options.address,
    options.credentials ?? credentials.createInsecure(),
    options.serverName === undefined
      ? channelLimits
      : { ...channelLimits, "grpc.ssl_target_name_override": options.serverName },
  );
  const closing = new AbortController();
  // Each stream and handler listens for the end of the channel.
  setMaxListeners(0, closing.signal);
  const assertOpen = (): void => {
    if (!closing.signal.aborted) return;
    throw new MillraceError("failed_precondition", "this client is closed", { remedy: "Connect again." });
  };
  const metadata = (): Metadata => {
    const entries = new Metadata();
    if (options.token !== undefined) entries.set("authorization", `Bearer ${options.token}`);
    return entries;
  };
  const { environment, logger, deadlineMs, idempotency } = options;
  return {
    environment,
    logger,
    deadlineMs,
    idempotency,
    closed: closing.signal,
    unary: (method, request, call) => {
      const attempt = (endMs: number) => {
        assertOpen();
        return callOnce({ client, metadata: metadata(), endMs, signal: call.signal }, method, request);
      };
      return callRepeatedly(attempt, { ...call, deadlineMs: call.deadlineMs ?? deadlineMs }, environment);
    },
    upload: (method, requests, call) => {
      const attempt = (endMs: number) => {
        assertOpen();
        const { signal } = call;
        return uploadOnce({ client, metadata: metadata(), endMs, signal, method, requests: requests() });
      };
      const limit = { ...call, deadlineMs: call.deadlineMs ?? Math.max(deadlineMs, uploadDeadlineMs) };
      return callRepeatedly(attempt, limit, environment);
    },
    readable: (method, request) => {
      assertOpen();
      const { path, requestSerialize, responseDeserialize } = method;
      return ignoreLateErrors(
        client.makeServerStreamRequest(path, requestSerialize, responseDeserialize, request, metadata()),
      );
    },
    duplex: (method) => {
      assertOpen();
      const { path, requestSerialize, responseDeserialize } = method;
      return ignoreLateErrors(
        client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, metadata()),
      );
    },
    close: () => {
      closing.abort();
      client.close();
    },
  };
}

/**
 * A canceled call still emits its status as an error after its reader has left; nobody waits for that one.
 */
function ignoreLateErrors<Call extends NodeJS.EventEmitter>(call: Call): Call {
  return call.on("error", () => undefined);
}

interface OneCall {
  client: Client;
  metadata: Metadata;
  endMs: number;
  signal: AbortSignal | undefined;
}

function callOnce<Request, Response>(
  { client, metadata, endMs, signal }: OneCall,
  method: Method<Request, Response>,
  request: Request,
): Promise<Response> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) {
      reject(new MillraceError("canceled", "canceled before it was sent"));
      return;
    }
    const cancel = (): void => call.cancel();
    const call = client.makeUnaryRequest(
      method.path,
      method.requestSerialize,
      method.responseDeserialize,
      request,
      metadata,
      { deadline: endMs },
      (error, response) => {
        signal?.removeEventListener("abort", cancel);
        if (error !== null || response === undefined) reject(error ?? new Error("no response"));
        else resolve(response);
      },
    );
    signal?.addEventListener("abort", cancel, { once: true });
  });
}

async function callRepeatedly<Response>(
  attempt: (endMs: number) => Promise<Response>,
  { attempted, deadlineMs, signal, repeatable = true }: UnaryOptions & { deadlineMs: number },
  environment: Environment,
): Promise<Response> {
  const endMs = environment.now() + deadlineMs;
  const backoff = createBackoff(environment);
  for (let attempts = 1; ; attempts += 1) {
    try {
      return await attempt(endMs);
    } catch (caught) {
      const error = MillraceError.from(caught, attempted);
      const mayPass = error.code === "unavailable" || error.code === "resource_exhausted";
      const waitMs = error.retryAfterMs ?? backoff.next();
      const isInTime = environment.now() + waitMs < endMs;
      if (!repeatable || !mayPass || attempts === attemptsMax || !isInTime) throw error;
      await environment.sleep(waitMs, signal);
      if (signal?.aborted === true) throw error;
    }
  }
}

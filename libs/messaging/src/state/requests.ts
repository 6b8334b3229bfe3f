import { CodedError, type Code, codes } from "@millrace/errors";
import { Failure } from "@millrace/proto/work";
import type { Component, Runtime } from "@millrace/runtime";
import type { Subscription } from "@nats-io/transport-node";
import type { Broker } from "../broker/broker.js";
import { subjects } from "../broker/subjects.js";
import { inActiveSpan, inReceivedSpan, tracedHeaders } from "../delivery/trace-context.js";

/**
 * Requests that wait for an answer: NATS request/reply, never stored. A failed one answers with this header.
 */
const failureHeader = "Millrace-Failure";

/** How a protobuf message is read and written; ts-proto's generated objects fit. */
export interface Codec<T> {
  encode(message: T): { finish(): Uint8Array };
  decode(bytes: Uint8Array): T;
}

export interface Endpoint<Q, R> {
  service: string;
  verb: string;
  request: Codec<Q>;
  response: Codec<R>;
}

/** Requests in hand at most; more are refused at once instead of queueing. */
const requestsMax = 256;

export function serveRequests<Q, R>(
  broker: Broker,
  runtime: Runtime,
  endpoint: Endpoint<Q, R>,
  handle: (request: Q) => Promise<R>,
): Component {
  const subject = subjects.work(endpoint.service, endpoint.verb);
  let subscription: Subscription | undefined;
  const working = new Set<Promise<void>>();
  const answer = async (data: Uint8Array): Promise<Uint8Array> => {
    let request: Q;
    try {
      request = endpoint.request.decode(data);
    } catch (cause) {
      throw new CodedError("invalid_argument", `${endpoint.verb}: malformed request`, { cause });
    }
    if (working.size > requestsMax) {
      throw new CodedError("resource_exhausted", `${endpoint.verb}: too many requests at once`, {
        retryAfterMs: 100,
      });
    }
    return endpoint.response.encode(await handle(request)).finish();
  };
  return {
    name: `requests ${subject}`,
    start: async () => {
      subscription = broker.connection.subscribe(subject, { queue: endpoint.service });
      void (async () => {
        for await (const message of subscription) {
          const named = { operation: "receive" as const, destination: subject };
          const done = inReceivedSpan(message.headers, named, () => answer(message.data))
            .then((bytes) => void message.respond(bytes))
            .catch((caught: unknown) => {
              const error = CodedError.from(caught, endpoint.verb);
              if (error.code === "internal")
                runtime.log.error("request failed", { subject, error: error.message });
              const headers = tracedHeaders();
              headers.set(failureHeader, "1");
              message.respond(encodeFailure(error), { headers });
            })
            .finally(() => working.delete(done));
          working.add(done);
        }
      })();
    },
    stop: async () => {
      await subscription?.drain();
      await Promise.all(working);
    },
  };
}

export async function ask<Q, R>(
  broker: Broker,
  endpoint: Endpoint<Q, R>,
  request: Q,
  timeoutMs: number,
): Promise<R> {
  const subject = subjects.work(endpoint.service, endpoint.verb);
  return inActiveSpan({ operation: "send", destination: subject }, async () => {
    const data = endpoint.request.encode(request).finish();
    const reply = await broker.connection
      .request(subject, data, { timeout: timeoutMs, headers: tracedHeaders() })
      .catch((cause: unknown) => {
        throw new CodedError("unavailable", `ask ${endpoint.service}: no answer`, {
          remedy: `Check that ${endpoint.service} is running and ready, then try again.`,
          retryAfterMs: 500,
          cause,
        });
      });
    if (reply.headers?.has(failureHeader) === true) throw decodeFailure(reply.data);
    return endpoint.response.decode(reply.data);
  });
}

function encodeFailure(error: CodedError): Uint8Array {
  return Failure.encode({
    code: error.code,
    reason: error.message,
    field: error.field ?? "",
    remedy: error.remedy ?? "",
  }).finish();
}

function decodeFailure(bytes: Uint8Array): CodedError {
  const failure = Failure.decode(bytes);
  const code: Code = failure.code in codes ? (failure.code as Code) : "internal";
  return new CodedError(code, failure.reason, {
    ...(failure.field === "" ? {} : { field: failure.field }),
    ...(failure.remedy === "" ? {} : { remedy: failure.remedy }),
  });
}

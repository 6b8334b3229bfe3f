import {
  type Context,
  context,
  propagation,
  type Span,
  SpanKind,
  SpanStatusCode,
  type TextMapGetter,
  type TextMapSetter,
  trace,
} from "@opentelemetry/api";
import { headers, type MsgHdrs } from "@nats-io/transport-node";

/**
 * W3C trace context in NATS headers, and spans named by the messaging conventions of OpenTelemetry (still
 * marked as development there, so kept in this one file).
 */
const tracer = trace.getTracer("@millrace/messaging");

const getter: TextMapGetter<MsgHdrs | undefined> = {
  get: (carrier, key) => (carrier?.has(key) === true ? carrier.get(key) : undefined),
  keys: (carrier) => carrier?.keys() ?? [],
};

const setter: TextMapSetter<MsgHdrs> = { set: (carrier, key, value) => carrier.set(key, value) };

export interface SpanNamed {
  operation: "send" | "process" | "receive";
  destination: string;
  messageCount?: number;
}

const kinds = { send: SpanKind.PRODUCER, process: SpanKind.CONSUMER, receive: SpanKind.CONSUMER };

function attributes(named: SpanNamed): Record<string, string | number> {
  return {
    "messaging.system": "nats",
    "messaging.operation.type": named.operation,
    "messaging.operation.name": named.operation,
    "messaging.destination.name": named.destination,
    ...(named.messageCount === undefined ? {} : { "messaging.batch.message_count": named.messageCount }),
  };
}

/** Runs `work` in a span whose parent is the trace in the message's headers. */
export function inReceivedSpan<T>(
  from: MsgHdrs | undefined,
  named: SpanNamed,
  work: () => Promise<T>,
): Promise<T> {
  return inSpan(propagation.extract(context.active(), from, getter), named, work);
}

/** Runs `work` in a child span of whatever is active. */
export function inActiveSpan<T>(named: SpanNamed, work: (span: Span) => Promise<T>): Promise<T> {
  return inSpan(context.active(), named, work);
}

function inSpan<T>(parent: Context, named: SpanNamed, work: (span: Span) => Promise<T>): Promise<T> {
  const name = `${named.operation} ${named.destination}`;
  return tracer.startActiveSpan(
    name,
    { kind: kinds[named.operation], attributes: attributes(named) },
    parent,
    async (span) => {
      try {
        return await work(span);
      } catch (caught) {
        // The code only: messages of foreign errors may quote payload.
        span.setStatus({ code: SpanStatusCode.ERROR });
        throw caught;
      } finally {
        span.end();
      }
    },
  );
}

/** Headers that carry the active trace; empty when tracing is off. */
export function tracedHeaders(): MsgHdrs {
  const carrier = headers();
  propagation.inject(context.active(), carrier, setter);
  return carrier;
}

import type { handleUnaryCall, Metadata } from "@grpc/grpc-js";
import { context, propagation, SpanKind, SpanStatusCode, trace } from "@opentelemetry/api";
import { Metadata as GrpcMetadata } from "@grpc/grpc-js";
import type { Logger } from "../logger.js";
import { decoded } from "./decoded.js";
import { toStatus } from "./status.js";

const tracer = trace.getTracer("@millrace/grpc");

const getter = {
  get: (carrier: Metadata, key: string): string | undefined => carrier.get(key)[0]?.toString(),
  keys: (carrier: Metadata): string[] => Object.keys(carrier.getMap()),
};

/** Runs `work` in a server span whose parent is the caller's trace. */
export function inServerSpan<T>(metadata: Metadata, rpc: string, work: () => Promise<T>): Promise<T> {
  const parent = propagation.extract(context.active(), metadata, getter);
  const attributes = { "rpc.system": "grpc", "rpc.method": rpc };
  return tracer.startActiveSpan(rpc, { kind: SpanKind.SERVER, attributes }, parent, async (span) => {
    try {
      return await work();
    } catch (caught) {
      span.setStatus({ code: SpanStatusCode.ERROR });
      throw caught;
    } finally {
      span.end();
    }
  });
}

/** Metadata that carries the active trace to the next service. */
export function tracedMetadata(): Metadata {
  const metadata = new GrpcMetadata();
  propagation.inject(context.active(), metadata, {
    set: (carrier, key, value) => carrier.set(key, String(value)),
  });
  return metadata;
}

/** The same for a request of a lasting call, which has no metadata of its own. */
export function tracedHeaders(): Record<string, string> {
  const carrier: Record<string, string> = {};
  propagation.inject(context.active(), carrier);
  return carrier;
}

const untraced = new GrpcMetadata();

/** What `tracedHeaders` made, as `inServerSpan` takes it. */
export function metadataOf(headers: Readonly<Record<string, string>>): Metadata {
  const entries = Object.entries(headers);
  if (entries.length === 0) return untraced;
  const metadata = new GrpcMetadata();
  for (const [name, value] of entries) metadata.set(name, value);
  return metadata;
}

/** What is our fault is logged, since the caller is not told. */
export function logFault(log: Logger, rpc: string, caught: unknown): void {
  const { code } = toStatus(caught);
  if (code !== 13 && code !== 2) return;
  log.error("rpc failed", {
    rpc,
    error: caught instanceof Error ? (caught.stack ?? caught.message) : String(caught),
  });
}

/** A unary RPC as a plain async function; its errors leave as gRPC status with details. */
export function unary<Q, R>(
  rpc: string,
  log: Logger,
  handle: (request: Q) => Promise<R>,
): handleUnaryCall<Q, R> {
  return (call, done) => {
    inServerSpan(call.metadata, rpc, async () => handle(decoded(call.request))).then(
      (response) => done(null, response),
      (caught: unknown) => {
        logFault(log, rpc, caught);
        done(toStatus(caught));
      },
    );
  };
}

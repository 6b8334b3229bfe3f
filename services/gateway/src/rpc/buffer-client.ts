import { type Context, context, type Link, SpanKind, SpanStatusCode, trace } from "@opentelemetry/api";
import { CodedError } from "@millrace/errors";
import type { Batch } from "@millrace/proto/batch";
import { BufferServiceClient, type LastPositionRequest, Sender } from "@millrace/proto/buffer";
import type { BufferUsage } from "@millrace/proto/stream";
import {
  callUnary,
  channelCredentials,
  type Component,
  internalChannel,
  type Runtime,
  type TlsFiles,
} from "@millrace/runtime";
import { createAppendCalls } from "./append-calls.js";

export interface BufferClient extends Component {
  /**
   * Resolves with the durability, `synced` or `unverified`. `traces`: contexts of those whose messages these
   * are.
   */
  append(batch: Batch, traces: readonly unknown[]): Promise<string>;
  /** Resolves with whether all of it was accepted before. */
  appendOnce(batch: Batch): Promise<{ isRepeated: boolean }>;
  lastPosition(of: Pick<LastPositionRequest, "tenant" | "stream" | "source">): Promise<number>;
  /** What a stream holds of its quota; undefined where buffer does not say so at once. */
  usage(of: { tenant: string; stream: string }): Promise<BufferUsage | undefined>;
  /** Whether buffer said lately that it is serving. */
  isServing(): boolean;
}

/** An append waits for a sync of the disk and of the broker; both may stall for seconds under load. */
const appendDeadlineMs = 10_000;
const askDeadlineMs = 5_000;
/** A status is answered without it rather than late. */
const usageDeadlineMs = 1_000;
const probeIntervalMs = 500;
const probeDeadlineMs = 1_000;
/** Two probes that are lost in a row change nothing yet. */
const servingMs = 3 * probeDeadlineMs;
/** As many links as a span keeps by default. */
const linksMax = 128;

const sender = Sender.SENDER_GATEWAY;

const tracer = trace.getTracer("@millrace/gateway");

export function createBufferClient(
  { address, tls }: { address: string; tls: TlsFiles | undefined },
  { clock, log }: Runtime,
): BufferClient {
  const client = new BufferServiceClient(address, channelCredentials(tls, { log }), internalChannel);
  const stopped = new AbortController();
  let servedAt = Number.NEGATIVE_INFINITY;
  const call = (attempted: string, deadlineMs: number) => ({ attempted, deadlineMs, now: clock.now() });
  const appends = createAppendCalls({
    call: () => client.appendStream(),
    deadlineMs: appendDeadlineMs,
    monotonic: clock.monotonic,
  });
  const isServing = (): boolean => clock.monotonic() - servedAt < servingMs;

  const probe = async (): Promise<void> => {
    let wasServing = false;
    while (!stopped.signal.aborted) {
      appends.expire();
      if (await checkHealth(client, clock.now() + probeDeadlineMs)) servedAt = clock.monotonic();
      if (isServing() !== wasServing) log.info("buffer changed its health", { serving: isServing() });
      wasServing = isServing();
      await clock.sleep(probeIntervalMs, stopped.signal);
    }
  };
  let probing: Promise<void> | undefined;

  return {
    name: "buffer-client",
    isServing,
    health: () => (isServing() ? undefined : "buffer does not answer that it is serving"),
    start: async () => {
      probing = probe();
    },
    stop: async () => {
      stopped.abort();
      await probing;
      appends.close();
      client.close();
    },
    append: (batch, traces) =>
      inAppendSpan(traces, async () => {
        try {
          return (await appends.append({ batch, sender })).durability;
        } catch (caught) {
          // At most a few a second: a source waits longer after each try.
          log.warn("append failed", { code: CodedError.from(caught).code, stream: batch.header?.stream });
          throw caught;
        }
      }),
    appendOnce: async (batch) => {
      const asked = call("append to buffer", appendDeadlineMs);
      const { jetStream } = await callUnary(client.append.bind(client), { batch, sender }, asked);
      // It names no message of the bus where it repeats an earlier answer.
      return { isRepeated: jetStream === "" };
    },
    lastPosition: async (of) => {
      const asked = call("ask buffer for the last position", askDeadlineMs);
      const request = { ...of, from: 0 };
      return (await callUnary(client.lastPosition.bind(client), request, asked)).position;
    },
    usage: async (of) => {
      const asked = call("ask buffer what a stream holds", usageDeadlineMs);
      try {
        return (await callUnary(client.getUsage.bind(client), of, asked)).usage;
      } catch {
        return undefined;
      }
    },
  };
}

/** One append for several publishes: a child of the first one's span, linked to the others'. */
function inAppendSpan<T>(traces: readonly unknown[], work: () => Promise<T>): Promise<T> {
  const [first, ...others] = traces as readonly Context[];
  const links = others.slice(0, linksMax).flatMap((other): Link[] => {
    const spanContext = trace.getSpanContext(other);
    return spanContext === undefined ? [] : [{ context: spanContext }];
  });
  const parent = first ?? context.active();
  return tracer.startActiveSpan(
    "append to buffer",
    { kind: SpanKind.CLIENT, links },
    parent,
    async (span) => {
      try {
        return await work();
      } catch (caught) {
        span.setStatus({ code: SpanStatusCode.ERROR });
        throw caught;
      } finally {
        span.end();
      }
    },
  );
}

/** grpc.health.v1 Check of the whole server: HealthCheckResponse { 1: status }, where 1 means SERVING. */
function checkHealth(client: BufferServiceClient, deadline: number): Promise<boolean> {
  const identity = (bytes: Buffer): Buffer => bytes;
  const serving = Buffer.from([0x08, 0x01]);
  return new Promise((resolve) => {
    client.makeUnaryRequest(
      "/grpc.health.v1.Health/Check",
      identity,
      identity,
      Buffer.alloc(0),
      { deadline },
      (error, answer) => resolve(error === null && answer?.equals(serving) === true),
    );
  });
}

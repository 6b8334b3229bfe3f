import { type ChannelOptions, credentials, type Metadata, type ServiceError } from "@grpc/grpc-js";
import { fromStatus } from "./status.js";
import { tracedMetadata } from "./unary.js";

/**
 * Channel options between our own services: a batch with its columns, and a peer that is away found in 30 s.
 */
export const internalChannel: ChannelOptions = {
  // The largest image with its columns, inline on its way to buffer.
  "grpc.max_send_message_length": 12 * 1024 * 1024,
  "grpc.max_receive_message_length": 12 * 1024 * 1024,
  "grpc.keepalive_time_ms": 20_000,
  "grpc.keepalive_timeout_ms": 10_000,
  "grpc-node.flow_control_window": 1024 * 1024,
  // A restarted peer is tried again soon: the default backs off to two minutes.
  "grpc.initial_reconnect_backoff_ms": 100,
  "grpc.max_reconnect_backoff_ms": 2000,
  // Pods get new addresses: asked again at once, not half a minute after the last time.
  "grpc.dns_min_time_between_resolutions_ms": 500,
};

export const insecure = credentials.createInsecure();

export type Unary<Q, R> = (
  request: Q,
  metadata: Metadata,
  options: { deadline: number },
  done: (error: ServiceError | null, response: R) => void,
) => unknown;

/**
 * A unary call as a promise with a deadline, carrying the active trace; errors come as CodedError. Bind the
 * method to its client.
 */
export function callUnary<Q, R>(
  method: Unary<Q, R>,
  request: Q,
  call: { attempted: string; deadlineMs: number; now: number },
): Promise<R> {
  return new Promise((resolve, reject) => {
    method(request, tracedMetadata(), { deadline: call.now + call.deadlineMs }, (error, response) => {
      if (error === null) resolve(response);
      else reject(fromStatus(error, call.attempted));
    });
  });
}

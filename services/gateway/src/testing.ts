import { type ChannelCredentials, credentials, type ServiceError } from "@grpc/grpc-js";
import type { Broker } from "@millrace/messaging";
import { freePort, type NatsServer, startNats } from "@millrace/messaging/testing";
import { Stream, StreamServiceClient } from "@millrace/proto/stream";
import {
  createLifecycle,
  fromStatus,
  type GrpcServer,
  type Lifecycle,
  parseConfig,
  silentLogger,
} from "@millrace/runtime";
import { testRuntime } from "@millrace/runtime/testing";
import { gatewayConfig } from "./config.js";
import { gateway } from "./service.js";

/** A gateway on a real broker, with no other service there: buffer does not answer. */
export interface RunningGateway {
  address: string;
  lifecycle: Lifecycle;
  nats: NatsServer;
  /** The broker as output sees it, to store results as it does. */
  output: Broker;
  streams: StreamServiceClient;
  create(name: string, given?: Parameters<typeof Stream.fromPartial>[0]): Promise<Stream>;
  stop(): Promise<void>;
}

export const insecure = credentials.createInsecure();

export type Done<R> = (error: ServiceError | null, response: R) => void;

/** A call's response; its error is the CodedError that the status carries. */
export function answer<R>(call: (done: Done<R>) => unknown): Promise<R> {
  return new Promise((resolve, reject) => {
    call((error, response) => (error === null ? resolve(response) : reject(fromStatus(error, "call"))));
  });
}

/** Bytes in, bytes out. */
export const identity = (bytes: Buffer): Buffer => bytes;

export interface GatewayToStart {
  /** Settings beside those of where everything is. */
  config?: Readonly<Record<string, unknown>>;
  /** Of `grpc`, beside the port. */
  grpc?: Readonly<Record<string, unknown>>;
  secure?: ChannelCredentials;
}

export async function startGateway(asked: GatewayToStart = {}): Promise<RunningGateway> {
  const { config = {}, grpc = {}, secure = insecure } = asked;
  const nats = await startNats();
  const output = await nats.connect("output");
  const given = {
    nats: { url: nats.url, monitorUrl: nats.monitorUrl, seedFile: `${nats.keysDir}/gateway.nk` },
    grpc: { port: 0, ...grpc },
    buffer: { address: `127.0.0.1:${await freePort()}` },
    ...config,
  };
  const components = await gateway(parseConfig(gatewayConfig, given, "test"), testRuntime());
  const lifecycle = createLifecycle(components, silentLogger);
  await lifecycle.start();
  const server = components.find(({ name }) => name === "grpc-server") as GrpcServer;
  const address = `127.0.0.1:${server.port()}`;
  const streams = new StreamServiceClient(address, secure);
  return {
    address,
    lifecycle,
    nats,
    output,
    streams,
    create: async (name, more = {}) => {
      const stream = Stream.fromPartial({ name, outputs: { results: {} }, ...more });
      const made = await answer<{ stream: Stream | undefined }>((done) =>
        streams.createStream({ stream }, done),
      );
      return made.stream ?? stream;
    },
    stop: async () => {
      streams.close();
      await lifecycle.stop(500);
      await output.connection.close();
      await nats.stop();
    },
  };
}

import { Server, ServerCredentials } from "@grpc/grpc-js";
import { ArtifactServiceService } from "@millrace/proto/artifact";
import { type EventServiceServer, EventServiceService } from "@millrace/proto/event";
import { GroupServiceService } from "@millrace/proto/group";
import {
  type PublishServiceServer,
  PublishServiceService,
  type SubscribeServiceServer,
  SubscribeServiceService,
} from "@millrace/proto/message";
import { SearchServiceService } from "@millrace/proto/search";
import { SourceServiceService } from "@millrace/proto/source";
import { StreamServiceService } from "@millrace/proto/stream";
import { type ConnectOptions, connectIn, type MillraceClient } from "../connect.js";
import { type Environment, systemEnvironment } from "../rpc/environment.js";
import { groupService } from "./serve-groups.js";
import { publishStream, subscribe, watchEvents } from "./serve-streams.js";
import { serveUnary } from "./serve-unary.js";
import { createState, type Served, type State } from "./state.js";

export interface TestGateway extends AsyncDisposable {
  readonly state: State;
  readonly address: string;
  /** A client of it, closed with it. */
  connect(options?: ConnectOptions, environment?: Partial<Environment>): MillraceClient;
  /** Resolves once the condition holds; looked at whenever something happened here. */
  until(condition: () => boolean): Promise<void>;
  /** Tells subscribers and those who wait in `until` that the state is another. */
  changed(): void;
  /** Cuts all connections and takes new ones. */
  restart(): Promise<void>;
  /** Cuts all connections and takes none, until `restart`. */
  stop(): void;
}

/** A real gRPC server of the public API, with the least behaviour that a client can be tested against. */
export async function startGateway(): Promise<TestGateway> {
  const state = createState();
  const listeners = new Set<() => void>();
  const changed = (): void => {
    for (const listener of listeners) listener();
  };
  const onChange = (listener: () => void): (() => void) => {
    listeners.add(listener);
    listener();
    return () => listeners.delete(listener);
  };
  const clients: MillraceClient[] = [];
  let { server, port } = await listen({ state, changed, onChange }, 0);
  const address = `127.0.0.1:${port}`;
  return {
    state,
    address,
    changed,
    connect(options = {}, environment = {}) {
      const brief = { backoffFirstMs: 1, backoffMaxMs: 20 };
      const client = connectIn({ ...systemEnvironment, ...brief, ...environment }, { address, ...options });
      clients.push(client);
      return client;
    },
    until: (condition) =>
      new Promise((resolve) => {
        let stop: (() => void) | undefined;
        const look = (): void => {
          if (!condition()) return;
          resolve();
          stop?.();
        };
        stop = onChange(look);
      }),
    async restart() {
      server.forceShutdown();
      ({ server, port } = await listen({ state, changed, onChange }, port));
    },
    stop() {
      server.forceShutdown();
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(clients.map((client) => client.close()));
      server.forceShutdown();
    },
  };
}

async function listen(served: Served, port: number): Promise<{ server: Server; port: number }> {
  const server = new Server();
  const unary = serveUnary(served);
  server.addService(StreamServiceService, unary.streams);
  server.addService(SourceServiceService, unary.sources);
  server.addService(ArtifactServiceService, unary.artifacts);
  server.addService(SearchServiceService, unary.search);
  const publishing: PublishServiceServer = {
    publish: unary.publish,
    publishStream: (call) => publishStream(served, call),
    uploadContent: unary.uploadContent,
  };
  const subscribing: SubscribeServiceServer = { subscribe: (call) => subscribe(served, call) };
  const watching: EventServiceServer = { watchEvents: (call) => watchEvents(served, call) };
  server.addService(GroupServiceService, groupService(served));
  server.addService(PublishServiceService, publishing);
  server.addService(SubscribeServiceService, subscribing);
  server.addService(EventServiceService, watching);
  const bound = await new Promise<number>((resolve, reject) => {
    server.bindAsync(`127.0.0.1:${port}`, ServerCredentials.createInsecure(), (error, boundPort) => {
      if (error === null) resolve(boundPort);
      else reject(error);
    });
  });
  return { server, port: bound };
}

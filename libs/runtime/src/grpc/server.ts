import { readFileSync } from "node:fs";
import {
  Server,
  ServerCredentials,
  type ServerOptions,
  type ServiceDefinition,
  type UntypedServiceImplementation,
} from "@grpc/grpc-js";
import { HealthImplementation } from "grpc-health-check";
import { listenError } from "../health-server.js";
import type { Component } from "../lifecycle.js";
import { tolerant } from "./decoded.js";
import { createReflection } from "./reflection.js";
import type { ServerSecurity } from "./security.js";

export interface GrpcService {
  /** Full name, as reflection and health show it: `millrace.message.v1.PublishService`. */
  name: string;
  definition: ServiceDefinition;
  implementation: UntypedServiceImplementation;
}

export interface GrpcServerOptions {
  listen: { host: string; port: number };
  services: readonly GrpcService[];
  /** FileDescriptorSet for reflection; leave out to serve none. */
  descriptorImage?: URL;
  /** Well or not, asked every second: what health/v1 answers. */
  healthy(): boolean;
  receiveBytesMax: number;
  /** Absent: in the clear, and whoever reaches it may call. */
  security?: ServerSecurity;
}

export interface GrpcServer extends Component {
  port(): number;
}

/** The library's defaults are open; these bounds are from docs/reliability.md "gateway limits". */
const limits: ServerOptions = {
  "grpc.max_concurrent_streams": 100,
  // A response with the largest image, and a page of small contents before it.
  "grpc.max_send_message_length": 16 * 1024 * 1024,
  "grpc.keepalive_time_ms": 60_000,
  "grpc.keepalive_timeout_ms": 20_000,
  "grpc.max_connection_idle_ms": 5 * 60_000,
  "grpc-node.max_session_memory": 64,
  // 64 KiB windows stall bulk appends; 1 MiB is one full batch.
  "grpc-node.flow_control_window": 1024 * 1024,
};

export function createGrpcServer(options: GrpcServerOptions): GrpcServer {
  const { credentials = ServerCredentials.createInsecure(), interceptors = [] } = options.security ?? {};
  const server = new Server({
    ...limits,
    "grpc.max_receive_message_length": options.receiveBytesMax,
    interceptors: [...interceptors],
  });
  const names = options.services.map((service) => service.name);
  const status = (serving: boolean) => (serving ? "SERVING" : "NOT_SERVING");
  const health = new HealthImplementation(
    Object.fromEntries(["", ...names].map((name) => [name, status(false)])),
  );
  for (const service of options.services)
    server.addService(tolerant(service.definition), service.implementation);
  health.addToServer(server);
  if (options.descriptorImage !== undefined) {
    const image = readFileSync(options.descriptorImage);
    const { services } = createReflection(image, [...names, "grpc.health.v1.Health"]);
    for (const { definition, implementation } of services) server.addService(definition, implementation);
  }
  let bound = 0;
  let watch: NodeJS.Timeout | undefined;
  const announce = (serving: boolean): void => {
    for (const name of ["", ...names]) health.setStatus(name, status(serving));
  };
  return {
    name: "grpc-server",
    port: () => bound,
    start: async () => {
      const { host, port } = options.listen;
      bound = await new Promise<number>((resolve, reject) => {
        server.bindAsync(`${host}:${port}`, credentials, (cause, at) =>
          cause === null ? resolve(at) : reject(listenError(cause, options.listen, "grpc.port")),
        );
      });
      announce(options.healthy());
      watch = setInterval(() => announce(options.healthy()), 1000);
    },
    stop: async (hard) => {
      clearInterval(watch);
      announce(false);
      const force = (): void => server.forceShutdown();
      hard.addEventListener("abort", force, { once: true });
      await new Promise<void>((resolve) => server.tryShutdown(() => resolve()));
      hard.removeEventListener("abort", force);
    },
  };
}

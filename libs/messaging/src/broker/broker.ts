import { readFileSync } from "node:fs";
import { CodedError } from "@millrace/errors";
import type { BaseConfig, Clock, Component, Logger, Runtime, TlsFiles } from "@millrace/runtime";
import { type JetStreamClient, type JetStreamManager, jetstream, jetstreamManager } from "@nats-io/jetstream";
import { Kvm } from "@nats-io/kv";
import {
  connect,
  type ConnectionOptions,
  nkeyAuthenticator,
  type NatsConnection,
} from "@nats-io/transport-node";
import { brokerTls } from "./broker-tls.js";
import { type BrokerUser, inboxPrefix } from "./permissions.js";
import { lastProvisioned } from "./streams.js";

export interface BrokerOptions {
  url: string;
  /** The user of the permission table; names the connection and its inbox. */
  user: string;
  seedFile?: string | undefined;
  /** Shown to a broker at `tls://`, which knows the user by it. */
  tls?: TlsFiles | undefined;
  /** Of a broker whose CA is another. */
  caFile?: string | undefined;
  log: Logger;
  /** Whether to wait for a broker that is not up yet. Default true. Errors otherwise: `unavailable`. */
  waits?: boolean;
  /**
   * Called once when the connection is gone for good: the process must end, never linger as if it were well.
   */
  onClosed(error: CodedError): void;
}

const provisionedPollMs = 250;

/** One connection to the broker, shared by all that a service does on it. */
export interface Broker extends Component {
  connection: NatsConnection;
  js: JetStreamClient;
  manager: JetStreamManager;
  kv: Kvm;
  log: Logger;
  isConnected(): boolean;
}

/**
 * Connects, and stays until it is stopped: the client's own defaults give up for ever after 20 s.
 */
export async function connectBroker(options: BrokerOptions): Promise<Broker> {
  const { log } = options;
  let connected = true;
  const connection = await firstConnection(options);
  let closing = false;
  void (async () => {
    for await (const status of connection.status()) {
      if (status.type === "disconnect") connected = false;
      if (status.type === "reconnect") connected = true;
      if (status.type === "error") log.warn("broker reported an error", { error: String(status.error) });
      if (status.type === "disconnect" || status.type === "reconnect")
        log.warn("broker connection changed", { status: status.type });
    }
  })();
  void connection.closed().then((cause) => {
    connected = false;
    if (!closing)
      options.onClosed(new CodedError("unavailable", "broker connection closed for good", { cause }));
  });
  const js = jetstream(connection, { timeout: 5_000 });
  return {
    name: "broker",
    connection,
    js,
    manager: await jetstreamManager(connection, { checkAPI: false, timeout: 5_000 }),
    kv: new Kvm(js),
    log,
    isConnected: () => connected,
    health: () => (connected ? undefined : "not connected to the broker"),
    stop: async () => {
      closing = true;
      await Promise.race([connection.drain(), new Promise((resolve) => setTimeout(resolve, 2_000))]);
    },
  };
}

/** As services do: by their settings, when all is provisioned; and they end with the connection. */
export async function connectAs(
  user: BrokerUser,
  { nats, tls }: Pick<BaseConfig, "nats" | "tls">,
  { log, fail, clock }: Pick<Runtime, "log" | "fail" | "clock">,
): Promise<Broker> {
  const broker = await connectBroker({ ...nats, tls, user, log, onClosed: fail });
  await untilProvisioned(broker, clock);
  return broker;
}

/** Where pods start in any order, what a service needs may come after it. Each reason is told once. */
async function untilProvisioned({ manager, log }: Broker, clock: Pick<Clock, "sleep">): Promise<void> {
  const remedy = "Run the provisioner; on a broker of your own, apply the permission table.";
  let told = "";
  for (;;) {
    try {
      await manager.streams.info(`KV_${lastProvisioned}`);
      return;
    } catch (cause) {
      const error = cause instanceof Error ? cause.message : String(cause);
      if (error !== told) log.warn("the broker is not provisioned, waiting", { error, remedy });
      told = error;
    }
    await clock.sleep(provisionedPollMs);
  }
}

/** Whoever waits is told once why. */
async function firstConnection(options: BrokerOptions): Promise<NatsConnection> {
  const { url, log } = options;
  const given = connectionOptions(options);
  try {
    return await connect(given);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    if (options.waits ?? true) {
      log.warn("the broker is not reached, trying again", { url, error: why });
      return connect({ ...given, waitOnFirstConnect: true });
    }
    throw new CodedError("unavailable", `connect to the broker at ${url}: ${why}`, {
      field: "nats.url",
      remedy: "Start it there, or correct the address.",
      cause,
    });
  }
}

function connectionOptions(options: BrokerOptions): ConnectionOptions {
  const tls = brokerTls(options);
  return {
    servers: options.url,
    name: options.user,
    inboxPrefix: inboxPrefix(options.user),
    maxReconnectAttempts: -1,
    reconnectTimeWait: 250,
    reconnectJitter: 250,
    // Two lost pings find a half-open socket in 20 s; the default takes minutes.
    pingInterval: 10_000,
    maxPingOut: 2,
    // A stack for each request, kept for an error that hardly ever comes, is a tenth of all CPU of a sink.
    noAsyncTraces: true,
    ignoreAuthErrorAbort: true,
    timeout: 5_000,
    ...(tls === undefined ? {} : { tls }),
    ...(options.seedFile === undefined
      ? {}
      : { authenticator: nkeyAuthenticator(readSeed(options.seedFile)) }),
  };
}

function readSeed(path: string): Uint8Array {
  try {
    return new TextEncoder().encode(readFileSync(path, "utf8").trim());
  } catch (cause) {
    throw new CodedError("not_found", `read nkey seed ${path}: cannot be read`, {
      field: "nats.seedFile",
      remedy: "Name the file that holds this service's nkey seed.",
      cause,
    });
  }
}

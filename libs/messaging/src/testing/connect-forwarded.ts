import { connect, type NatsConnection } from "@nats-io/transport-node";
import { inboxPrefix } from "../broker/permissions.js";

export interface ForwardedBroker {
  /** Of this machine; leads to the broker. */
  port: number;
  /** A name in the broker's certificate, by which it is checked: 127.0.0.1 is none of its names. */
  serverName: string;
  /** The user of the permission table. */
  user: string;
  /** PEM texts; without certificate and key the client shows none. */
  tls: { ca: string; cert?: string; key?: string };
}

/** Connects to a broker of a cluster from outside. */
export function connectForwarded(to: ForwardedBroker): Promise<NatsConnection> {
  const { port, serverName, user, tls } = to;
  // Handed on to Node, though the client's types do not name it.
  const checkedBy = { host: serverName };
  return connect({
    servers: `tls://127.0.0.1:${port}`,
    name: user,
    inboxPrefix: inboxPrefix(user),
    tls: { ...tls, ...checkedBy },
    reconnect: false,
    timeout: 5_000,
  });
}

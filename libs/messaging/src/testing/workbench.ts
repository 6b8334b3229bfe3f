import { after, before } from "node:test";
import type { Broker } from "../broker/broker.js";
import { adminUser } from "../broker/permissions.js";
import { type NatsOptions, type NatsServer, startNats } from "./nats-server.js";

export interface Workbench {
  nats(): NatsServer;
  /** Connected as the operator. */
  admin(): Broker;
  /** Connects as a user; closed with the rest. */
  connect(user: string): Promise<Broker>;
}

/** One provisioned nats-server for all tests of a file. */
export function natsWorkbench(options: NatsOptions = {}): Workbench {
  let nats: NatsServer | undefined;
  let admin: Broker | undefined;
  const brokers: Broker[] = [];
  const started = (): NatsServer => {
    if (nats === undefined) throw new Error("nats-server is not started yet");
    return nats;
  };
  const connect = async (user: string): Promise<Broker> => {
    const broker = await started().connect(user);
    brokers.push(broker);
    return broker;
  };
  before(async () => {
    nats = await startNats(options);
    admin = await connect(adminUser);
  });
  after(async () => {
    await Promise.all(brokers.map((broker) => broker.connection.close()));
    await nats?.stop();
  });
  return {
    nats: started,
    connect,
    admin: () => {
      if (admin === undefined) throw new Error("nats-server is not started yet");
      return admin;
    },
  };
}

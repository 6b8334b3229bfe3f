import type { NatsConnection } from "@nats-io/transport-node";
import type { Broker } from "../broker/broker.js";
import type { BrokerUser } from "../broker/permissions.js";
import { publishing, subscribing } from "./permission-matrix.js";

export interface TriedPermissions {
  /** Subjects and APIs that were let through though they must be refused. */
  passed: string[];
  /** … that were refused though they must be let through. */
  refused: string[];
}

export interface PermissionsToTry {
  /** Connected as that user; closed at the end. */
  broker: Pick<Broker, "connection">;
  user: BrokerUser;
  /**
   * Only what must be refused. What may be done is done, and some of it writes, deletes and purges: the whole
   * table is for brokers of tests.
   */
  onlyForbidden?: boolean;
}

type Table = ReadonlyMap<string, readonly BrokerUser[]>;

/** Tries a user against the whole table on the broker that it is connected to. Empty lists: as designed. */
export async function tryPermissions({
  broker,
  user,
  onlyForbidden = false,
}: PermissionsToTry): Promise<TriedPermissions> {
  const { connection } = broker;
  const isTried = (allowed: readonly BrokerUser[]): boolean => !onlyForbidden || !allowed.includes(user);
  const tried = (table: Table): [string, readonly BrokerUser[]][] =>
    [...table].filter(([, allowed]) => isTried(allowed));
  const publishes = tried(publishing);
  const subscribes = tried(subscribing);
  const refusedOnes = await refusals(connection, () => {
    for (const [subject] of publishes) connection.publish(subject, new Uint8Array());
    for (const [subject] of subscribes) connection.subscribe(subject, { callback: () => undefined });
  });
  await connection.close();
  const judged = [
    ...judge(publishes, { user, refused: refusedOnes.publish, verb: "publish" }),
    ...judge(subscribes, { user, refused: refusedOnes.subscribe, verb: "subscribe" }),
  ];
  return {
    passed: judged.filter(({ may }) => !may).map(({ what }) => what),
    refused: judged.filter(({ may }) => may).map(({ what }) => what),
  };
}

/** Those that were answered otherwise than the table says. */
function judge(
  tried: readonly [string, readonly BrokerUser[]][],
  { user, refused, verb }: { user: BrokerUser; refused: ReadonlySet<string>; verb: string },
): { what: string; may: boolean }[] {
  return tried
    .map(([subject, allowed]) => ({ subject, may: allowed.includes(user) }))
    .filter(({ subject, may }) => may === refused.has(subject))
    .map(({ subject, may }) => ({ what: `${verb} ${subject}`, may }));
}

/** Subjects of the operations that the server refused. */
async function refusals(
  connection: NatsConnection,
  act: () => void,
): Promise<Record<"publish" | "subscribe", Set<string>>> {
  const refused = { publish: new Set<string>(), subscribe: new Set<string>() };
  void (async () => {
    for await (const status of connection.status()) {
      const said = /Permissions Violation for (Publish|Subscription) to "([^"]+)"/.exec(
        status.type === "error" ? status.error.message : "",
      );
      if (said?.[2] === undefined) continue;
      refused[said[1] === "Publish" ? "publish" : "subscribe"].add(said[2]);
    }
  })();
  act();
  // The server answers in order: all refusals are here when the answer to this ping is.
  await connection.flush();
  await new Promise((resolve) => setImmediate(resolve));
  return refused;
}

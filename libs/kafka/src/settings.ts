import type { Connection } from "@millrace/proto/kafka";
import type { Value } from "@millrace/proto/source";
import type { Secrets } from "@millrace/runtime";
import { type KafkaConnection, parseBootstrapServers, type SaslMechanism } from "./connection.js";

/** How settings name a cluster, whichever message of the API they stand in: values, or names of secrets. */
export interface ConnectionSettings {
  bootstrapServers: readonly string[];
  tls?: Readonly<Record<"ca" | "cert" | "key", Value | undefined>> | undefined;
  sasl?: { mechanism: string; username: Value | undefined; password: Value | undefined } | undefined;
}

/** Where the settings stand, so that errors name their fields: those of secrets may have a suffix. */
export interface ConnectionFields {
  at: string;
  suffix: "" | "_secret";
}

/** A connection of which all that is secret is named. */
export function namedSettings({ bootstrapServers, tls, sasl }: Connection): ConnectionSettings {
  const named = (value: string): Value | undefined =>
    value === "" ? undefined : { kind: { $case: "secret", value } };
  return {
    bootstrapServers,
    tls: tls && { ca: named(tls.caSecret), cert: named(tls.certSecret), key: named(tls.keySecret) },
    sasl: sasl && {
      mechanism: sasl.mechanism,
      username: { kind: { $case: "text", value: sasl.username } },
      password: named(sasl.passwordSecret),
    },
  };
}

/** Settings that gateway checked, with their secrets as they are now. */
export async function readConnection(
  { bootstrapServers, tls, sasl }: ConnectionSettings,
  of: { secrets: Secrets; clientId: string; fields: ConnectionFields },
): Promise<KafkaConnection> {
  const { at, suffix } = of.fields;
  const read = (value: Value | undefined, name: string): Promise<string> =>
    of.secrets.valueOf(value, `${at}.${name}`);
  const pem = async (name: "ca" | "cert" | "key"): Promise<string | undefined> =>
    tls?.[name] && read(tls[name], `tls.${name}${suffix}`);
  return {
    bootstrapServers: parseBootstrapServers(bootstrapServers.join(","), `${at}.bootstrap_servers`),
    clientId: of.clientId,
    tls: tls && { ca: await pem("ca"), cert: await pem("cert"), key: await pem("key") },
    sasl: sasl && {
      mechanism: sasl.mechanism as SaslMechanism,
      username: await read(sasl.username, "sasl.username"),
      password: await read(sasl.password, `sasl.password${suffix}`),
    },
  };
}

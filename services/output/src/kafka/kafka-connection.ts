import type { KafkaConnection, KafkaTls, SaslMechanism } from "@millrace/kafka";
import type { Connection } from "@millrace/proto/kafka";
import type { Secrets } from "@millrace/runtime";

/** A stream's connection with its secrets, as they are now. */
export async function kafkaConnection(
  { bootstrapServers, tls, sasl }: Connection,
  secrets: Secrets,
): Promise<KafkaConnection> {
  const field = "outputs.kafka.connection";
  const read = (name: string, of: string): Promise<string> =>
    secrets.valueOf({ kind: { $case: "secret", value: name } }, `${field}.${of}`);
  const optional = async (name: string, of: string): Promise<string | undefined> =>
    name === "" ? undefined : read(name, of);
  const secure = async (): Promise<KafkaTls | undefined> =>
    tls && {
      ca: await optional(tls.caSecret, "tls.ca_secret"),
      cert: await optional(tls.certSecret, "tls.cert_secret"),
      key: await optional(tls.keySecret, "tls.key_secret"),
    };
  return {
    bootstrapServers,
    clientId: "millrace-output",
    tls: await secure(),
    sasl: sasl && {
      // Checked when the stream was made.
      mechanism: sasl.mechanism as SaslMechanism,
      username: sasl.username,
      password: await read(sasl.passwordSecret, "sasl.password_secret"),
    },
  };
}

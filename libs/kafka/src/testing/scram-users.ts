import { pbkdf2Sync, randomBytes } from "node:crypto";
import { alterUserScramCredentialsV0, Connection } from "@platformatic/kafka";
import { eventually } from "@millrace/runtime/testing";
import { Kafka, logLevel } from "kafkajs";
import type { KafkaUser } from "./broker-properties.js";

/** As the protocol numbers them. */
const mechanisms = [
  { mechanism: 1, digest: "sha256", length: 32 },
  { mechanism: 2, digest: "sha512", length: 64 },
] as const;
/** The fewest that a broker takes. */
const iterations = 4_096;

export interface ScramAddresses {
  host: string;
  /** Where nobody is asked for a password, and where everybody is. */
  plaintext: number;
  sasl: number;
}

/** Has the broker know the users by SCRAM. Resolves when they may log in. */
export async function addScramUsers(
  { host, plaintext, sasl }: ScramAddresses,
  users: readonly KafkaUser[],
): Promise<void> {
  const connection = new Connection("millrace-test");
  await connection.connect(host, plaintext);
  // A user once in a request.
  for (const { mechanism, digest, length } of mechanisms) {
    const credentials = users.map(({ username: name, password }) => {
      const salt = randomBytes(16);
      const saltedPassword = pbkdf2Sync(password, salt, iterations, length, digest);
      return { name, mechanism, iterations, salt, saltedPassword };
    });
    await alterUserScramCredentialsV0.api.async(connection, [], credentials);
  }
  await connection.close();
  const isKnown = async (user: KafkaUser): Promise<boolean> => {
    const kafka = new Kafka({
      clientId: "millrace-test",
      brokers: [`${host}:${sasl}`],
      logLevel: logLevel.NOTHING,
      sasl: { mechanism: "scram-sha-512", ...user },
    });
    const admin = kafka.admin({ retry: { retries: 0 } });
    try {
      await admin.connect();
      return true;
    } finally {
      await admin.disconnect();
    }
  };
  await Promise.all(users.map((user) => eventually(() => isKnown(user), { what: "a user may log in" })));
}

import kafkajs from "kafkajs";
import { connectTimeoutMs, type KafkaConnection, requestTimeoutMs } from "../connection.js";
import { registerCodecs } from "../codecs.js";

/** Beyond, whoever uses the client tries again in its own time. */
const retries = 3;

/** A client that logs nothing: what goes wrong is thrown, and named by us. */
export function createClient(connection: KafkaConnection): kafkajs.Kafka {
  registerCodecs();
  const { bootstrapServers, clientId, tls, sasl } = connection;
  return new kafkajs.Kafka({
    clientId,
    brokers: [...bootstrapServers],
    connectionTimeout: connectTimeoutMs,
    authenticationTimeout: connectTimeoutMs,
    requestTimeout: requestTimeoutMs,
    logLevel: kafkajs.logLevel.NOTHING,
    retry: { retries, initialRetryTime: 200, maxRetryTime: 2_000, restartOnFailure: async () => false },
    ...(tls === undefined ? {} : { ssl: withoutAbsent(tls) }),
    ...(sasl === undefined ? {} : { sasl: { ...sasl } as kafkajs.SASLOptions }),
  });
}

function withoutAbsent(tls: NonNullable<KafkaConnection["tls"]>): Record<string, string> {
  const present = Object.entries(tls).filter((entry): entry is [string, string] => entry[1] !== undefined);
  return Object.fromEntries(present);
}

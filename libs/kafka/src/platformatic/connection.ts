import { isIP } from "node:net";
import { type BaseOptions, type SASLMechanismValue, SASLMechanisms } from "@platformatic/kafka";
import { registerCodecs } from "../codecs.js";
import {
  connectTimeoutMs,
  type KafkaConnection,
  requestTimeoutMs,
  type SaslMechanism,
} from "../connection.js";

const mechanisms: Readonly<Record<SaslMechanism, SASLMechanismValue>> = {
  plain: SASLMechanisms.PLAIN,
  "scram-sha-256": SASLMechanisms.SCRAM_SHA_256,
  "scram-sha-512": SASLMechanisms.SCRAM_SHA_512,
};

/** Beyond, whoever uses the client tries again in its own time. */
const retries = 3;
const retryDelayMs = 250;

export function baseOptions({ bootstrapServers, clientId, tls, sasl }: KafkaConnection): BaseOptions {
  registerCodecs();
  const options: BaseOptions = {
    clientId,
    bootstrapBrokers: [...bootstrapServers],
    connectTimeout: connectTimeoutMs,
    requestTimeout: requestTimeoutMs,
    retries,
    retryDelay: retryDelayMs,
    autocreateTopics: false,
  };
  if (tls !== undefined) {
    options.tls = {};
    if (tls.ca !== undefined) options.tls.ca = tls.ca;
    if (tls.cert !== undefined) options.tls.cert = tls.cert;
    if (tls.key !== undefined) options.tls.key = tls.key;
    // Brokers behind one address are told apart by the name; an address is no name.
    options.tlsServerName = bootstrapServers.every((server) => isIP(hostOf(server)) === 0);
  }
  if (sasl !== undefined) {
    const { mechanism, username, password } = sasl;
    options.sasl = { mechanism: mechanisms[mechanism], username, password };
  }
  return options;
}

const hostOf = (server: string): string => server.slice(0, server.lastIndexOf(":")).replace(/^\[|\]$/g, "");

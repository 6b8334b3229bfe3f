import type { CodedError } from "@millrace/errors";
import { parseBootstrapServers, saslMechanisms } from "@millrace/kafka/connection";
import { type ConnectionFields, type ConnectionSettings, namedSettings } from "@millrace/kafka/settings";
import { hiddenText, secretName } from "@millrace/proto";
import type { Connection } from "@millrace/proto/kafka";
import type { Value } from "@millrace/proto/source";

const serversMax = 32;
const nameBytesMax = 1_024;
const secretBytesMax = 64 * 1024;

export interface ConnectionPlace extends ConnectionFields {
  /** Whose directory of secrets. */
  owner: "ingestion" | "output";
  invalid(field: string, problem: string, remedy: string): CodedError;
}

/** What settings of a connection come to: brokers one by one, the mechanism as it is known. */
export interface CompletedConnection {
  bootstrapServers: string[];
  mechanism: string;
}

/** Errors: `invalid_argument` with the field. */
export function completeConnection(given: ConnectionSettings, of: ConnectionPlace): CompletedConnection {
  const { tls, sasl } = given;
  const field = `${of.at}.bootstrap_servers`;
  const bootstrapServers = parseBootstrapServers(given.bootstrapServers.join(","), field);
  if (bootstrapServers.length > serversMax) {
    const remedy = `Name at most ${serversMax} brokers.`;
    throw of.invalid(field, `has ${bootstrapServers.length} entries`, remedy);
  }
  if (tls !== undefined) checkTls(tls, of);
  const mechanism = sasl?.mechanism.toLowerCase() ?? "";
  if (sasl === undefined) return { bootstrapServers, mechanism };
  if (!saslMechanisms.some((name) => name === mechanism)) {
    const remedy = `Use one of ${saslMechanisms.join(", ")}.`;
    throw of.invalid(`${of.at}.sasl.mechanism`, "is not known", remedy);
  }
  checkValue(sasl.username, { ...of, field: `${of.at}.sasl.username`, bytesMax: nameBytesMax });
  const password = `${of.at}.sasl.password${of.suffix}`;
  checkValue(sasl.password, { ...of, field: password, bytesMax: secretBytesMax });
  return { bootstrapServers, mechanism };
}

/** A connection of output's, completed. */
export function completeNamed(
  given: Connection | undefined,
  of: Pick<ConnectionPlace, "at" | "invalid">,
): Connection {
  const { bootstrapServers = [], tls, sasl } = given ?? {};
  const place = { ...of, suffix: "_secret", owner: "output" } as const;
  const settings = namedSettings({ bootstrapServers, tls, sasl });
  const completed = completeConnection(settings, place);
  return {
    bootstrapServers: completed.bootstrapServers,
    tls,
    sasl: sasl && { ...sasl, mechanism: completed.mechanism },
  };
}

function checkTls(tls: NonNullable<ConnectionSettings["tls"]>, of: ConnectionPlace): void {
  const fieldOf = (name: string): string => `${of.at}.tls.${name}${of.suffix}`;
  for (const name of ["ca", "cert", "key"] as const) {
    const value = tls[name];
    if (value === undefined) continue;
    checkValue(value, { ...of, field: fieldOf(name), bytesMax: secretBytesMax });
    if (value.kind?.$case === "text" && !value.kind.value.includes("-----BEGIN ")) {
      const remedy = "Give the text of the PEM file, or a secret's name.";
      throw of.invalid(fieldOf(name), "is not in PEM", remedy);
    }
  }
  if ((tls.cert === undefined) !== (tls.key === undefined)) {
    const remedy = "Give both the certificate and its key, or neither.";
    throw of.invalid(fieldOf("key"), "does not go with the certificate", remedy);
  }
}

function checkValue(
  value: Value | undefined,
  of: ConnectionPlace & { field: string; bytesMax: number },
): void {
  const { field, bytesMax, owner, suffix } = of;
  const named = `the name of a file in ${owner}'s directory of secrets`;
  const kind = value?.kind;
  if (kind === undefined || kind.value === "") {
    const remedy = field.endsWith("_secret") ? named : suffix === "" ? `a text, or ${named}` : "a text";
    throw of.invalid(field, "is missing", `Give ${remedy}.`);
  }
  if (kind.$case === "secret") {
    if (secretName.test(kind.value)) return;
    throw of.invalid(field, "names no secret", `Give ${named}: letters, digits, dots, _ and -.`);
  }
  // What an answer showed was sent back.
  if (kind.value === hiddenText) throw of.invalid(field, "is not the value", "Give the value itself.");
  if (kind.value.includes("\0") || Buffer.byteLength(kind.value) > bytesMax) {
    throw of.invalid(field, "is too long or has a NUL", `Use at most ${bytesMax} bytes.`);
  }
}

import { isIP } from "node:net";
import { CodedError } from "@millrace/errors";
import { readCertificates, readKeyPair, readTls, type TlsFiles } from "@millrace/runtime";
import type { TlsOptions } from "@nats-io/transport-node";

export interface BrokerTls {
  url: string;
  tls?: TlsFiles | undefined;
  caFile?: string | undefined;
}

/**
 * What the connection to a broker at `tls://` is made with; the client then refuses one that offers no TLS.
 * It reads the files at each connection, so one that is made again shows what was renewed. Errors: files that
 * are bad now.
 */
export function brokerTls({ url, tls, caFile }: BrokerTls): TlsOptions | undefined {
  if (!url.startsWith("tls://")) {
    if (caFile === undefined) return undefined;
    throw new CodedError(
      "invalid_argument",
      `connect to the broker at ${url}: nats.caFile is for tls:// only`,
      {
        field: "nats.caFile",
        remedy: "Write tls:// in nats.url, or leave nats.caFile out.",
      },
    );
  }
  if (caFile !== undefined) readCertificates(caFile, "nats.caFile");
  const host = hostToCheck(url);
  if (tls === undefined) return { ...host, ...(caFile === undefined ? {} : { caFile }) };
  if (caFile === undefined) readTls(tls);
  else readKeyPair(tls);
  const { certFile, keyFile } = tls;
  return { ...host, certFile, keyFile, caFile: caFile ?? tls.caFile };
}

/** The client hands on what a server is called, but not its address: Node would look for `localhost`. */
function hostToCheck(url: string): { host?: string } {
  if (!URL.canParse(url)) {
    throw new CodedError("invalid_argument", `connect to the broker at ${url}: no address`, {
      field: "nats.url",
      remedy: "Write tls://host:port.",
    });
  }
  const host = new URL(url).hostname.replace(/^\[|\]$/g, "");
  return isIP(host) === 0 ? {} : { host };
}

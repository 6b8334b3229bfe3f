import { readFileSync } from "node:fs";
import { X509Certificate } from "node:crypto";
import { type ChannelCredentials, credentials } from "@grpc/grpc-js";
import { checkKeys, checkText } from "../units/checks.js";
import { invalidArgument } from "./millrace-error.js";

/** PEM texts or their bytes. */
export interface TlsOptions {
  /** Certificates to trust. Default: those of Node. */
  ca?: string | Uint8Array;
  /** The file that holds them, in place of `ca`. */
  caFile?: string;
  /** The name that the server's certificate has, where it is another than that of `address`. */
  serverName?: string;
  /** Ours, where the server asks for one. */
  certificate?: string | Uint8Array;
  key?: string | Uint8Array;
}

export interface ChannelSecurity {
  credentials?: ChannelCredentials;
  serverName?: string;
}

const keys = ["ca", "caFile", "serverName", "certificate", "key"] as const;

export function toSecurity(tls: boolean | TlsOptions): ChannelSecurity {
  if (tls === false) return {};
  if (tls === true) return { credentials: credentials.createSsl() };
  checkKeys(tls, keys, "tls");
  const { certificate, key, serverName } = tls;
  if ((certificate === undefined) !== (key === undefined)) {
    throw invalidArgument("tls", "has only one of certificate and key", "Give both, or neither.");
  }
  if (serverName !== undefined) checkText(serverName, "tls.serverName");
  const toBytes = (pem: string | Uint8Array | undefined) => (pem === undefined ? null : Buffer.from(pem));
  return {
    credentials: credentials.createSsl(authorityOf(tls), toBytes(key), toBytes(certificate)),
    ...(serverName !== undefined && { serverName }),
  };
}

function authorityOf({ ca, caFile }: TlsOptions): Buffer | null {
  if (caFile === undefined) return ca === undefined ? null : certificatesOf(Buffer.from(ca), "tls.ca", "is");
  if (ca !== undefined) throw invalidArgument("tls", "has both ca and caFile", "Give one of them.");
  checkText(caFile, "tls.caFile");
  let pem: Buffer;
  try {
    pem = readFileSync(caFile);
  } catch {
    throw invalidArgument("tls.caFile", `names ${caFile}, which cannot be read`, "Name a PEM file.");
  }
  return certificatesOf(pem, "tls.caFile", `names ${caFile}, which is`);
}

/** Node takes what is no certificate as none to trust, and only the handshake would tell. */
function certificatesOf(pem: Buffer, field: string, what: string): Buffer {
  try {
    new X509Certificate(pem);
    return pem;
  } catch {
    throw invalidArgument(field, `${what} no certificate`, "Give the CA's certificate in PEM.");
  }
}

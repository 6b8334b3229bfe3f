import {
  type ChannelCredentials,
  credentials,
  experimental,
  ServerCredentials,
  type ServerInterceptor,
} from "@grpc/grpc-js";
import { CodedError } from "@millrace/errors";
import type { Logger } from "../logger.js";
import { type Renewal, renewedCertificates } from "../tls/renewed-certificates.js";
import { type KeyPairFiles, readKeyPair, readTls, type TlsFiles } from "../tls/tls-files.js";
import { type CallCheck, guard } from "./guard.js";

/** How a listener is reached, and what each call is checked by. */
export interface ServerSecurity {
  credentials: ServerCredentials;
  interceptors: readonly ServerInterceptor[];
}

/** To a service of ours: mutual TLS where this process has a certificate, else in the clear. */
export function channelCredentials(tls: TlsFiles | undefined, renewal: Renewal): ChannelCredentials {
  if (tls === undefined) return credentials.createInsecure();
  const files = renewedCertificates(() => readTls(tls), renewal);
  return experimental.createCertificateProviderChannelCredentials(files, files);
}

export interface InternalSecurity extends Renewal {
  tls: TlsFiles | undefined;
  /** Services whose certificate may call; any with a certificate may ask for health. */
  allow: readonly string[];
}

/** Of a listener for services of ours: open where this process has no certificate, for one machine. */
export function internalSecurity({ tls, allow, ...renewal }: InternalSecurity): ServerSecurity {
  if (tls === undefined) return open;
  const files = renewedCertificates(() => readTls(tls), renewal);
  return {
    credentials: experimental.createCertificateProviderServerCredentials(files, files, true),
    interceptors: [guard(allowOnly(allow, renewal.log))],
  };
}

const open: ServerSecurity = { credentials: ServerCredentials.createInsecure(), interceptors: [] };

function allowOnly(allow: readonly string[], log: Logger): CallCheck {
  return ({ path, names }) => {
    if (names.some((name) => allow.includes(name))) return undefined;
    const caller = names.length === 0 ? "nobody" : names.join(", ");
    log.warn("a call was refused", { rpc: path, caller });
    return new CodedError("permission_denied", `call ${path}: ${caller} may not`, {
      remedy: `This listener is for ${allow.join(", ")}, known by a DNS name of the certificate.`,
    });
  };
}

export interface PublicSecurity {
  /** In the clear without. */
  tls: KeyPairFiles | undefined;
  /** The setting that names its files. */
  field: string;
  check: CallCheck | undefined;
  log: Logger;
}

/** Of a listener for everybody who passes the check. */
export function publicSecurity({ tls, field, check, log }: PublicSecurity): ServerSecurity {
  const interceptors = check === undefined ? [] : [guard(check)];
  if (tls === undefined) return { ...open, interceptors };
  const files = renewedCertificates(() => readKeyPair(tls, field), { log });
  return {
    credentials: experimental.createCertificateProviderServerCredentials(files, null, false),
    interceptors,
  };
}

import type { experimental } from "@grpc/grpc-js";
import type { Logger } from "../logger.js";
import type { KeyPair } from "./tls-files.js";

type Certificates = KeyPair & { ca?: Buffer };

export interface Renewal {
  log: Logger;
  everyMs?: number;
}

/** New connections use what was renewed at most this much later; it is the fraction of any grace period. */
const renewalMs = 10_000;

/**
 * Certificates that are read again and again while somebody uses them. Files that are bad at the start are
 * the caller's error; later ones are told, and what was good is kept.
 */
export function renewedCertificates(
  read: () => Certificates,
  { log, everyMs = renewalMs }: Renewal,
): experimental.CertificateProvider {
  let held = read();
  let told = "";
  let timer: NodeJS.Timeout | undefined;
  const ofCa = new Set<Parameters<experimental.CertificateProvider["addCaCertificateListener"]>[0]>();
  const ofOwn = new Set<Parameters<experimental.CertificateProvider["addIdentityCertificateListener"]>[0]>();
  const authority = () => (held.ca === undefined ? null : { caCertificate: held.ca });
  const own = () => ({ certificate: held.cert, privateKey: held.key });
  const renew = (): void => {
    try {
      const next = read();
      told = "";
      if (isSame(next, held)) return;
      held = next;
    } catch (caught) {
      const error = String(caught);
      if (error !== told) log.error("renewed certificates are bad, the old ones are kept", { error });
      told = error;
      return;
    }
    log.info("certificates renewed");
    for (const listener of ofOwn) listener(own());
    for (const listener of ofCa) listener(authority());
  };
  const watch = (): void => {
    const isUsed = ofCa.size + ofOwn.size > 0;
    if (isUsed) timer ??= setInterval(renew, everyMs).unref();
    if (isUsed || timer === undefined) return;
    clearInterval(timer);
    timer = undefined;
  };
  return {
    addCaCertificateListener: (listener) => {
      ofCa.add(listener);
      watch();
      // Who adds itself takes nothing before it has been added.
      process.nextTick(() => listener(authority()));
    },
    removeCaCertificateListener: (listener) => {
      ofCa.delete(listener);
      watch();
    },
    addIdentityCertificateListener: (listener) => {
      ofOwn.add(listener);
      watch();
      process.nextTick(() => listener(own()));
    },
    removeIdentityCertificateListener: (listener) => {
      ofOwn.delete(listener);
      watch();
    },
  };
}

function isSame(one: Certificates, other: Certificates): boolean {
  const bytes = ({ ca, cert, key }: Certificates) => Buffer.concat([ca ?? Buffer.alloc(0), cert, key]);
  return bytes(one).equals(bytes(other));
}

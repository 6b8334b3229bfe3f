import { createPrivateKey, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { createSecureContext } from "node:tls";
import { CodedError } from "@millrace/errors";

/** A certificate and its key, as PEM files. */
export interface KeyPairFiles {
  certFile: string;
  keyFile: string;
}

/** Who this process is, and whom it trusts. */
export interface TlsFiles extends KeyPairFiles {
  caFile: string;
}

export interface KeyPair {
  cert: Buffer;
  key: Buffer;
}

export interface TlsMaterial extends KeyPair {
  ca: Buffer;
}

/** `field`: the setting that names the files. Errors name the one that is bad, and what to do. */
export function readTls(files: TlsFiles, field = "tls"): TlsMaterial {
  return { ca: readCertificates(files.caFile, `${field}.caFile`), ...readKeyPair(files, field) };
}

export function readKeyPair({ certFile, keyFile }: KeyPairFiles, field = "tls"): KeyPair {
  const cert = readCertificates(certFile, `${field}.certFile`);
  const key = readPem(keyFile, `${field}.keyFile`);
  try {
    createPrivateKey(key);
  } catch (cause) {
    throw refused(keyFile, { field: `${field}.keyFile`, why: "is no private key in PEM", cause });
  }
  try {
    createSecureContext({ cert, key });
  } catch (cause) {
    throw refused(keyFile, {
      field: `${field}.keyFile`,
      why: `is not the key of the certificate in ${certFile}`,
      cause,
    });
  }
  return { cert, key };
}

/** One certificate or several: a chain, or all that are trusted. */
export function readCertificates(path: string, field: string): Buffer {
  const pem = readPem(path, field);
  try {
    for (const [one] of pem.toString("latin1").matchAll(certificates)) new X509Certificate(one);
    new X509Certificate(pem);
  } catch (cause) {
    throw refused(path, { field, why: "is no certificate in PEM", cause });
  }
  return pem;
}

const certificates = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g;

function readPem(path: string, field: string): Buffer {
  try {
    return readFileSync(path);
  } catch (cause) {
    throw new CodedError("not_found", `read ${field}: ${path} cannot be read`, {
      field,
      remedy: "Name a PEM file that this process may read.",
      cause,
    });
  }
}

function refused(
  path: string,
  { field, why, cause }: { field: string; why: string; cause: unknown },
): CodedError {
  const remedy = "Give the certificate, its key and the CA of one issue, in PEM.";
  return new CodedError("invalid_argument", `read ${field}: ${path} ${why}`, { field, remedy, cause });
}

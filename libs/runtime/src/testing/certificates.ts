// The package that comes next resolves its parts by reflection.
import "reflect-metadata";
import { randomBytes, webcrypto } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import * as x509 from "@peculiar/x509";
import { systemClock } from "../clock.js";
import type { TlsFiles } from "../tls/tls-files.js";

export interface CertificateToIssue {
  /** Names in DNS. Default: the name alone. */
  dns?: readonly string[];
  /** Addresses. Default: 127.0.0.1. */
  ips?: readonly string[];
  /** Negative: it ended then. */
  lifeMs?: number;
}

/** A CA for tests; what it issues lies as PEM files in its folder. */
export interface TestAuthority {
  readonly caFile: string;
  /** Writes `<name>.crt` and `<name>.key`; again: a renewed one in the same files. */
  issue(name: string, wanted?: CertificateToIssue): Promise<TlsFiles>;
}

const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
const hourMs = 3_600_000;

const makeKeys = (): Promise<webcrypto.CryptoKeyPair> =>
  webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);

export async function createAuthority(dir: string): Promise<TestAuthority> {
  await mkdir(dir, { recursive: true });
  const keys = await makeKeys();
  const ca = await x509.X509CertificateGenerator.createSelfSigned({
    ...partsOf(hourMs),
    name: "CN=millrace test CA",
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign, true),
    ],
  });
  const caFile = join(dir, "ca.crt");
  await writeFile(caFile, ca.toString("pem"));
  return {
    caFile,
    issue: async (name, { dns = [name], ips = ["127.0.0.1"], lifeMs = hourMs } = {}) => {
      const own = await makeKeys();
      const issued = await x509.X509CertificateGenerator.create({
        ...partsOf(lifeMs),
        subject: `CN=${name}`,
        issuer: ca.subject,
        publicKey: own.publicKey,
        signingKey: keys.privateKey,
        extensions: [
          new x509.ExtendedKeyUsageExtension([
            x509.ExtendedKeyUsage.serverAuth,
            x509.ExtendedKeyUsage.clientAuth,
          ]),
          new x509.SubjectAlternativeNameExtension([
            ...dns.map((value) => ({ type: "dns" as const, value })),
            ...ips.map((value) => ({ type: "ip" as const, value })),
          ]),
        ],
      });
      const [certFile, keyFile] = [join(dir, `${name}.crt`), join(dir, `${name}.key`)];
      await writeFile(certFile, issued.toString("pem"));
      await writeFile(keyFile, await keyText(own.privateKey), { mode: 0o600 });
      return { caFile, certFile, keyFile };
    },
  };
}

function partsOf(lifeMs: number) {
  const now = systemClock.now();
  return {
    serialNumber: `01${randomBytes(8).toString("hex")}`,
    // An hour back: clocks differ, and one that has ended began before that.
    notBefore: new Date(now + Math.min(0, lifeMs) - hourMs),
    notAfter: new Date(now + lifeMs),
    signingAlgorithm: algorithm,
  };
}

async function keyText(key: webcrypto.CryptoKey): Promise<string> {
  const bytes = Buffer.from(await webcrypto.subtle.exportKey("pkcs8", key)).toString("base64");
  const lines = bytes.match(/.{1,64}/g) ?? [];
  return ["-----BEGIN PRIVATE KEY-----", ...lines, "-----END PRIVATE KEY-----", ""].join("\n");
}

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createPrivateKey, X509Certificate } from "node:crypto";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import { adminUser, brokerUsers } from "@millrace/messaging";
import { obtainSupplies } from "../system/supplies.js";
import { type KubeObject, ofKind } from "./objects.js";
import { render } from "./render.js";

const identities = [...brokerUsers, adminUser, "nats"];
const small = await render({});
const production = await render({ values: { profile: "production" } });
const byCertManager = await render({ values: { tls: { mode: "certManager" } } });

function secretOf(objects: readonly KubeObject[], name: string): Record<string, string> {
  const secret = ofKind(objects, "Secret").find(({ metadata }) => metadata.name === name);
  assert.ok(secret !== undefined, `there is no Secret ${name}`);
  const entries = Object.entries(secret.data ?? {});
  return Object.fromEntries(entries.map(([key, value]) => [key, Buffer.from(value, "base64").toString()]));
}

const namesOf = (certificate: X509Certificate): string[] =>
  (certificate.subjectAltName ?? "").split(", ").flatMap((name) => /^DNS:(.+)$/.exec(name)?.[1] ?? []);

for (const [profile, objects] of [
  ["small", small],
  ["production", production],
] as const) {
  test(`${profile}: each certificate is of the release's CA, with its key, and names its user alone`, () => {
    const ca = new X509Certificate(secretOf(objects, "m-millrace-ca")["tls.crt"] ?? "");
    assert.equal(ca.ca, true);
    for (const user of identities) {
      const secret = secretOf(objects, `m-millrace-${user}-tls`);
      const certificate = new X509Certificate(secret["tls.crt"] ?? "");
      assert.ok(certificate.verify(ca.publicKey), `${user}: signed by another`);
      assert.ok(
        certificate.checkPrivateKey(createPrivateKey(secret["tls.key"] ?? "")),
        `${user}: another key`,
      );
      assert.equal(new X509Certificate(secret["ca.crt"] ?? "").fingerprint256, ca.fingerprint256);
      // A plain name is an identity, on the broker and among services.
      const plain = namesOf(certificate).filter((name) =>
        identities.includes(name as (typeof identities)[number]),
      );
      assert.deepEqual(plain, [user]);
      assert.ok(
        namesOf(certificate).includes(`m-millrace-${user}.streams.svc`),
        `${user}: no name of a Service`,
      );
    }
  });

  test(`${profile}: gateway's public certificate is for clients, and is nobody's identity`, () => {
    const secret = secretOf(objects, "m-millrace-gateway-public-tls");
    const certificate = new X509Certificate(secret["tls.crt"] ?? "");
    assert.deepEqual(
      namesOf(certificate).filter((name) => identities.includes(name as (typeof identities)[number])),
      [],
    );
    for (const name of ["localhost", "m-millrace-gateway.streams.svc"])
      assert.ok(certificate.checkHost(name), name);
  });
}

test("cert-manager is asked for the same identities", () => {
  const certificates = ofKind(byCertManager, "Certificate");
  for (const user of identities) {
    const certificate = certificates.find(({ spec }) => spec?.["secretName"] === `m-millrace-${user}-tls`);
    const names = (certificate?.spec?.["dnsNames"] ?? []) as string[];
    assert.deepEqual(
      names.filter((name) => identities.includes(name as (typeof identities)[number])),
      [user],
    );
  }
});

for (const [profile, objects] of [
  ["small", small],
  ["production", production],
] as const) {
  test(`${profile}: the real nats-server takes the broker's config`, async (t) => {
    const { natsServerPath } = await obtainSupplies();
    const folder = await mkdtemp(join(tmpdir(), "millrace-broker-"));
    t.after(() => rm(folder, { recursive: true, force: true }));
    await mkdir(join(folder, "tls"));
    for (const [name, text] of Object.entries(secretOf(objects, "m-millrace-nats-tls"))) {
      await writeFile(join(folder, "tls", name), text);
    }
    const [map] = ofKind(objects, "ConfigMap").flatMap(({ data }) => data?.["nats-server.conf"] ?? []);
    const config = (map ?? "").replaceAll("/etc/millrace/tls", join(folder, "tls"));
    assert.notEqual(config, "");
    await writeFile(join(folder, "nats-server.conf"), config);
    assert.equal(await tryConfig(natsServerPath, join(folder, "nats-server.conf")), "");
    const broken = config.replace('"max_file_store"', '"max_store_of_files"');
    await writeFile(join(folder, "broken.conf"), broken);
    assert.match(await tryConfig(natsServerPath, join(folder, "broken.conf")), /max_store_of_files/);
  });
}

/** What nats-server has against a config; empty when nothing. */
function tryConfig(server: string, file: string): Promise<string> {
  return new Promise((resolve) => {
    execFile(server, ["-t", "-c", file], (error, stdout, stderr) => {
      resolve(error === null ? "" : `${stdout}${stderr}`);
    });
  });
}

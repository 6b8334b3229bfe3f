import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { silentLogger, type TlsFiles } from "@millrace/runtime";
import { createAuthority, eventually, type TestAuthority } from "@millrace/runtime/testing";
import { type NatsServer, startNats, tryPermissions } from "../testing/index.js";
import { type Broker, type BrokerOptions, connectBroker } from "./broker.js";
import { brokerUsers } from "./permissions.js";

let dir: string;
let authority: TestAuthority;
let other: TestAuthority;
let nats: NatsServer;
let privacy: TlsFiles;

before(async () => {
  dir = await mkdtemp(join(tmpdir(), "millrace-broker-tls-"));
  authority = await createAuthority(join(dir, "ours"));
  other = await createAuthority(join(dir, "other"));
  nats = await startNats({ authority });
  privacy = await authority.issue("privacy");
});
after(async () => {
  await nats.stop();
  await rm(dir, { recursive: true });
});

const connect = (given: Partial<BrokerOptions>): Promise<Broker> =>
  connectBroker({
    url: nats.url,
    user: "privacy",
    log: silentLogger,
    waits: false,
    onClosed: () => undefined,
    ...given,
  });

for (const user of brokerUsers) {
  test(`${user}, known by its certificate, may do exactly what the design grants it`, async () => {
    const broker = await nats.connect(user);
    assert.deepEqual(await tryPermissions({ broker, user }), { passed: [], refused: [] });
  });
}

test("whoever is another than its certificate says has no right of that name", async () => {
  const broker = await connect({ user: "gateway", tls: privacy });
  const { passed, refused } = await tryPermissions({ broker, user: "gateway" });
  assert.ok(passed.includes("publish $JS.API.CONSUMER.MSG.NEXT.RAW.privacy-batch"));
  assert.ok(refused.includes("publish $KV.CONFIG.stream.default.s"));
});

test("no certificate, one of another CA, one that ended and one of nobody are refused", async () => {
  const foreign = { ...(await other.issue("privacy")), caFile: authority.caFile };
  const past = await authority.issue("past", { dns: ["privacy"], lifeMs: -1_000 });
  // A server that refuses a certificate of TLS 1.3 just hangs up: each of these waits its time.
  const waiting = [{ caFile: authority.caFile }, { tls: foreign }, { tls: past }].map((given) =>
    assert.rejects(connect(given), { code: "unavailable" }),
  );
  await Promise.all(waiting);
  await assert.rejects(connect({ tls: await authority.issue("stranger") }), /Authorization/);
});

test("a broker whose certificate another CA issued, or for another name, is not trusted", async () => {
  const tls = { ...privacy, caFile: other.caFile };
  await assert.rejects(connect({ tls }), { code: "unavailable", message: /certificate/ });
  await assert.rejects(connect({ tls: privacy, url: nats.url.replace("127.0.0.1", "localhost") }), {
    code: "unavailable",
    message: /localhost/,
  });
});

test("nothing passes in the clear, whichever side would", async (t) => {
  await assert.rejects(connect({ url: nats.url.replace("tls:", "nats:") }), { code: "unavailable" });
  const plain = await startNats({ provisioned: false });
  t.after(() => plain.stop());
  const url = plain.url.replace("nats:", "tls:");
  await assert.rejects(connect({ url, tls: privacy }), {
    code: "unavailable",
    message: /does not support 'tls'/,
  });
});

test("a broker of another CA is trusted by nats.caFile, and a key may be shown beside", async (t) => {
  const external = await startNats({ authority: other });
  t.after(() => external.stop());
  const tls = { ...(await other.issue("privacy")), caFile: authority.caFile };
  const broker = await connect({ url: external.url, tls, caFile: other.caFile });
  await broker.connection.close();
});

test("a connection that is made again shows the certificate that was renewed", async (t) => {
  const tls = await authority.issue("renewed", { dns: ["privacy"] });
  const broker = await connect({ tls });
  t.after(() => broker.connection.close());
  const { certFile, keyFile } = await authority.issue("fresh", { dns: ["buffer"] });
  await writeFile(tls.certFile, await readFile(certFile));
  await writeFile(tls.keyFile, await readFile(keyFile));
  await nats.restart();
  const info = `$JS.API.CONSUMER.INFO.RAW.privacy-batch`;
  // buffer may not ask that, and privacy may.
  await eventually(
    () =>
      broker.connection.request(info, "", { timeout: 1_000 }).then(
        () => false,
        (error: unknown) => /Permissions/.test(String(error)),
      ),
    { what: "known as buffer" },
  );
});

test("files that are bad are told by the setting, with what to do", async () => {
  const empty = join(dir, "empty.pem");
  await writeFile(empty, "no PEM");
  const missing = join(dir, "missing.pem");
  const output = await authority.issue("output");
  const bad: [Partial<BrokerOptions>, string, RegExp][] = [
    [{ tls: { ...privacy, caFile: missing } }, "tls.caFile", /cannot be read/],
    [{ tls: { ...privacy, caFile: empty } }, "tls.caFile", /no certificate/],
    [{ tls: { ...privacy, certFile: empty } }, "tls.certFile", /no certificate/],
    [{ tls: { ...privacy, keyFile: empty } }, "tls.keyFile", /no private key/],
    [{ tls: { ...privacy, keyFile: output.keyFile } }, "tls.keyFile", /not the key of the certificate/],
    [{ tls: privacy, caFile: missing }, "nats.caFile", /cannot be read/],
    [{ url: "tls://a:1,b:2", tls: privacy }, "nats.url", /no address/],
    [{ url: "nats://127.0.0.1:1", caFile: authority.caFile }, "nats.caFile", /tls:\/\/ only/],
  ];
  for (const [given, field, message] of bad) {
    await assert.rejects(connect(given), (error: { field: string; message: string; remedy: string }) => {
      assert.equal(error.field, field);
      assert.match(error.message, message);
      assert.ok(error.remedy.length > 0);
      return true;
    });
  }
});

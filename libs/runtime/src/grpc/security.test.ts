import assert from "node:assert/strict";
import { copyFile, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, type TestContext, test } from "node:test";
import { connect, type ConnectionOptions, type TLSSocket } from "node:tls";
import { readFileSync } from "node:fs";
import { Client, type ClientDuplexStream, credentials, type ServerDuplexStream } from "@grpc/grpc-js";
import { descriptorImage } from "@millrace/proto";
import { SearchRequest } from "@millrace/proto/search";
import { silentLogger } from "../logger.js";
import { createAuthority, eventually, type TestAuthority } from "../testing/index.js";
import type { TlsFiles } from "../tls/tls-files.js";
import { dnsNames } from "./guard.js";
import { channelCredentials, internalSecurity, publicSecurity, type ServerSecurity } from "./security.js";
import { createGrpcServer } from "./server.js";
import { fromStatus } from "./status.js";
import { unary } from "./unary.js";

const asIs = (value: Buffer): Buffer => value;
const request = Buffer.from(SearchRequest.encode(SearchRequest.fromPartial({ query: "hello" })).finish());
const method = {
  requestStream: false,
  responseStream: false,
  requestSerialize: asIs,
  requestDeserialize: (value: Buffer) => Buffer.from(SearchRequest.decode(value).query),
  responseSerialize: asIs,
  responseDeserialize: asIs,
} as const;
const definition = {
  say: { ...method, path: "/test.Echo/Say" },
  chat: { ...method, path: "/test.Echo/Chat", requestStream: true, responseStream: true },
} as const;
const health = "/grpc.health.v1.Health/Check";
const reflection = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
const log = silentLogger;
const everyMs = 20;

let dir: string;
let authority: TestAuthority;
let other: TestAuthority;
before(async () => {
  dir = await mkdtemp(join(tmpdir(), "millrace-security-"));
  authority = await createAuthority(join(dir, "ours"));
  other = await createAuthority(join(dir, "other"));
});
after(() => rm(dir, { recursive: true }));

/** Serves one call that answers, and one that streams back; counts those that came through. */
async function serving(t: TestContext, security: ServerSecurity): Promise<{ port: number; came(): number }> {
  let came = 0;
  const server = createGrpcServer({
    listen: { host: "127.0.0.1", port: 0 },
    services: [
      {
        name: "test.Echo",
        definition,
        implementation: {
          say: unary<Buffer, Buffer>("test.Echo/Say", log, async (text) => {
            came += 1;
            return text;
          }),
          chat: (call: ServerDuplexStream<Buffer, Buffer>) => {
            came += 1;
            call.on("data", (text: Buffer) => call.write(text)).on("end", () => call.end());
          },
        },
      },
    ],
    descriptorImage,
    healthy: () => true,
    receiveBytesMax: 1024,
    security,
  });
  await server.start?.();
  t.after(() => server.stop?.(AbortSignal.abort()));
  return { port: server.port(), came: () => came };
}

const mutual = async (): Promise<ServerSecurity> =>
  internalSecurity({ tls: await authority.issue("buffer"), allow: ["gateway", "ingestion"], log, everyMs });

function clientOf(t: TestContext, port: number, secure = credentials.createInsecure()): Client {
  const client = new Client(`127.0.0.1:${port}`, secure, { "grpc.use_local_subchannel_pool": 1 });
  t.after(() => client.close());
  return client;
}

const withCertificate = (t: TestContext, port: number, tls: TlsFiles): Client =>
  clientOf(t, port, channelCredentials(tls, { log, everyMs }));

function ask(client: Client, path: string = definition.say.path, bytes = request): Promise<string> {
  return new Promise((resolve, reject) => {
    const deadline = performance.timeOrigin + performance.now() + 5_000;
    client.makeUnaryRequest(path, asIs, asIs, bytes, { deadline }, (error, answer) =>
      error === null ? resolve(String(answer)) : reject(fromStatus(error, "ask")),
    );
  });
}

function converse(client: Client, path: string = definition.chat.path): Promise<string> {
  const call: ClientDuplexStream<Buffer, Buffer> = client.makeBidiStreamRequest(path, asIs, asIs);
  return new Promise((resolve, reject) => {
    call.on("data", (answer: Buffer) => resolve(String(answer)));
    call.on("error", (error: Parameters<typeof fromStatus>[0]) => reject(fromStatus(error, "converse")));
    call.write(request);
    call.end();
  });
}

test("a service that is allowed calls all methods", async (t) => {
  const { port, came } = await serving(t, await mutual());
  const client = withCertificate(t, port, await authority.issue("gateway"));
  assert.deepEqual([await ask(client), await converse(client)], ["hello", "hello"]);
  assert.equal(came(), 2);
  await converse(client, reflection);
});

test("one that is not calls none, streams and reflection neither, and may ask for health", async (t) => {
  const { port, came } = await serving(t, await mutual());
  const client = withCertificate(t, port, await authority.issue("output"));
  const refusal = {
    code: "permission_denied",
    message: /output may not/,
    remedy: "This listener is for gateway, ingestion, known by a DNS name of the certificate.",
  };
  await assert.rejects(ask(client), refusal);
  await assert.rejects(converse(client), refusal);
  await assert.rejects(converse(client, reflection), refusal);
  assert.equal(came(), 0);
  assert.deepEqual(Buffer.from(await ask(client, health, Buffer.alloc(0))), Buffer.from([0x08, 0x01]));
});

test("no certificate, one of another CA, one that ended and plain text come to nothing", async (t) => {
  const { port, came } = await serving(t, await mutual());
  const trusting = credentials.createSsl(readFileSync(authority.caFile));
  const foreign = { ...(await other.issue("gateway")), caFile: authority.caFile };
  const past = await authority.issue("past", { dns: ["gateway"], lifeMs: -1_000 });
  const clients = [
    clientOf(t, port),
    clientOf(t, port, trusting),
    withCertificate(t, port, foreign),
    withCertificate(t, port, past),
  ];
  for (const client of clients) {
    await assert.rejects(ask(client), { code: "unavailable" });
    await assert.rejects(ask(client, health, Buffer.alloc(0)), { code: "unavailable" });
  }
  assert.equal(came(), 0);
});

test("a server of another CA, or with another name than was dialled, is not told anything", async (t) => {
  const { port, came } = await serving(t, await mutual());
  const gateway = await authority.issue("gateway");
  await assert.rejects(ask(withCertificate(t, port, { ...gateway, caFile: other.caFile })), {
    code: "unavailable",
    message: /certificate/,
  });
  const named = new Client(`localhost:${port}`, channelCredentials(gateway, { log }));
  t.after(() => named.close());
  await assert.rejects(ask(named), { code: "unavailable", message: /localhost/ });
  assert.equal(came(), 0);
});

/** Connects beside gRPC, to see what was agreed on. */
function shakeHands(port: number, options: ConnectionOptions): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: "127.0.0.1", port, ALPNProtocols: ["h2"], ...options }, () =>
      resolve(socket),
    );
    socket.on("error", reject);
  });
}

test("TLS is 1.3 where both can, 1.2 where one can't, and nothing older", async (t) => {
  const { port } = await serving(t, await mutual());
  const { certFile, keyFile, caFile } = await authority.issue("gateway");
  const own = { ca: readFileSync(caFile), cert: readFileSync(certFile), key: readFileSync(keyFile) };
  const agreed = async (options: ConnectionOptions): Promise<string | null> => {
    const socket = await shakeHands(port, { ...own, ...options });
    const version = socket.getProtocol();
    socket.destroy();
    return version;
  };
  assert.equal(await agreed({}), "TLSv1.3");
  assert.equal(await agreed({ maxVersion: "TLSv1.2" }), "TLSv1.2");
  await assert.rejects(agreed({ minVersion: "TLSv1", maxVersion: "TLSv1.1", ciphers: "ALL:@SECLEVEL=0" }));
});

test("new connections use certificates that were renewed, on both sides", async (t) => {
  const tls = await authority.issue("renewed-server", { dns: ["buffer"] });
  const { port } = await serving(t, internalSecurity({ tls, allow: ["gateway"], log, everyMs }));
  const mine = await authority.issue("renewed-client", { dns: ["output"] });
  const secure = channelCredentials(mine, { log, everyMs });
  const isAllowed = async (): Promise<boolean> => {
    const client = new Client(`127.0.0.1:${port}`, secure, { "grpc.use_local_subchannel_pool": 1 });
    const answer = await ask(client).catch(() => "");
    client.close();
    return answer === "hello";
  };
  assert.equal(await isAllowed(), false);
  // Half of a renewal is no pair: what was good stays until the other half is there.
  const gateway = await authority.issue("gateway");
  await copyFile(gateway.certFile, mine.certFile);
  await copyFile(gateway.keyFile, mine.keyFile);
  await eventually(isAllowed, { what: "the client is known by its new certificate" });

  const own = {
    ca: readFileSync(mine.caFile),
    cert: readFileSync(mine.certFile),
    key: readFileSync(mine.keyFile),
  };
  const shown = async (): Promise<string> => {
    const socket = await shakeHands(port, own);
    const { serialNumber } = socket.getPeerCertificate();
    socket.destroy();
    return serialNumber;
  };
  const first = await shown();
  await authority.issue("renewed-server", { dns: ["buffer"] });
  await eventually(async () => (await shown()) !== first, { what: "the server shows its new certificate" });
});

test("a public listener needs no certificate, and a check sees the metadata of each call", async (t) => {
  const tls = await authority.issue("public");
  const seen: string[] = [];
  const check = ({ path }: { path: string }): undefined => void seen.push(path);
  const { port } = await serving(t, publicSecurity({ tls, field: "grpc.tls", check, log }));
  const client = clientOf(t, port, credentials.createSsl(readFileSync(authority.caFile)));
  assert.equal(await ask(client), "hello");
  assert.deepEqual(seen, [definition.say.path]);
  await assert.rejects(ask(clientOf(t, port)), { code: "unavailable" });
});

test("files that are bad are told by the setting", async () => {
  const tls = await authority.issue("gateway");
  const keyFile = (await authority.issue("output")).keyFile;
  const bad = { ...tls, keyFile };
  const refusal = { code: "invalid_argument", field: "tls.keyFile", message: /not the key/ };
  assert.throws(() => internalSecurity({ tls: bad, allow: [], log }), refusal);
  assert.throws(() => channelCredentials(bad, { log }), refusal);
  const missing = { ...tls, certFile: join(dir, "missing") };
  const asked = { tls: missing, field: "grpc.tls", check: undefined, log };
  assert.throws(() => publicSecurity(asked), { code: "not_found", field: "grpc.tls.certFile" });
});

test("names are read as Node writes them, and none from a certificate with an odd one", () => {
  assert.deepEqual(dnsNames("DNS:buffer, IP Address:127.0.0.1, DNS:a.b.svc"), ["buffer", "a.b.svc"]);
  assert.deepEqual(dnsNames('DNS:"a, DNS:privacy, DNS:b", DNS:output'), []);
  assert.deepEqual(dnsNames("URI:DNS:privacy, othername:<unsupported>"), []);
  assert.deepEqual(dnsNames(undefined), []);
});

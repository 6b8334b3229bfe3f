import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { type ChannelCredentials, Client, credentials, Metadata } from "@grpc/grpc-js";
import { SubscribeRequest, SubscribeServiceClient } from "@millrace/proto/message";
import { Stream, StreamServiceClient } from "@millrace/proto/stream";
import { Trigger, TriggerServiceClient } from "@millrace/proto/trigger";
import { fromStatus, parseConfig } from "@millrace/runtime";
import { createAuthority, eventually, testRuntime } from "@millrace/runtime/testing";
import { gatewayConfig } from "../config.js";
import { answer, identity, type RunningGateway, startGateway } from "../testing.js";
import { createCallers } from "./callers.js";

const hash = (token: string): string => createHash("sha256").update(token).digest("hex");
const entry = (token: string, role: string) => ({ name: `${token}'s`, sha256: hash(token), role });

let dir: string;
let tokensFile: string;
let secure: ChannelCredentials;
let gateway: RunningGateway;

before(async () => {
  dir = await mkdtemp(join(tmpdir(), "millrace-callers-"));
  tokensFile = join(dir, "tokens.json");
  await writeTokens([entry("app", "user"), entry("officer", "privacy")]);
  const authority = await createAuthority(dir);
  const { certFile, keyFile } = await authority.issue("gateway");
  secure = credentials.createSsl(readFileSync(authority.caFile));
  gateway = await startGateway({
    config: { auth: { tokensFile } },
    grpc: { tls: { certFile, keyFile } },
    secure,
  });
});
after(async () => {
  await gateway.stop();
  await rm(dir, { recursive: true });
});

const writeTokens = (tokens: unknown[]): Promise<void> => writeFile(tokensFile, JSON.stringify({ tokens }));

const withToken = (header: string): Metadata => {
  const metadata = new Metadata();
  metadata.add("authorization", header);
  return metadata;
};

const list = (metadata: Metadata, client: StreamServiceClient = gateway.streams): Promise<unknown> =>
  answer((done) => client.listStreams({ pageSize: 10, pageToken: "" }, metadata, done));

const create = (name: string, { token, exempt }: { token: string; exempt: boolean }): Promise<unknown> => {
  const stream = Stream.fromPartial({ name, outputs: { results: {} }, privacy: { exempt } });
  return answer((done) => gateway.streams.createStream({ stream }, withToken(`Bearer ${token}`), done));
};

test("a caller with a token is served, and one with none or a wrong one is not", async () => {
  await list(withToken("Bearer app"));
  await list(withToken("bearer officer"));
  const remedy = /authorization: Bearer <token>/;
  const refusal = { code: "unauthenticated", field: "authorization", remedy };
  await assert.rejects(list(new Metadata()), { ...refusal, message: /no token/ });
  for (const header of ["Bearer ap", "Bearer ", "app", "Basic app", `Bearer ${hash("app")}`]) {
    await assert.rejects(list(withToken(header)), refusal);
  }
  await assert.rejects(list(withToken("Bearer ap")), { ...refusal, message: /not known/ });
});

test("a refusal does not tell the token that was sent", async () => {
  await assert.rejects(list(withToken("Bearer hunter2")), (error) => !String(error).includes("hunter2"));
});

test("streams and reflection take a token too, and health none", async (t) => {
  const refused = async (call: NodeJS.EventEmitter): Promise<void> => {
    const [error] = await once(call, "error");
    assert.equal(fromStatus(error, "call").code, "unauthenticated");
  };
  const subscribe = new SubscribeServiceClient(gateway.address, secure);
  const client = new Client(gateway.address, secure);
  t.after(() => {
    subscribe.close();
    client.close();
  });
  const ignored = <C extends NodeJS.EventEmitter>(call: C): C => call.on("data", () => undefined);
  await refused(ignored(subscribe.subscribe(SubscribeRequest.fromPartial({ stream: "s" }))));
  const reflection = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
  await refused(ignored(client.makeBidiStreamRequest(reflection, identity, identity)));
  const health = "/grpc.health.v1.Health/Check";
  await answer((done) =>
    client.makeUnaryRequest(health, identity, identity, Buffer.alloc(0), (error, response) =>
      done(error, response),
    ),
  );
});

test("only the privacy role exempts streams from the filter", async () => {
  await create("filtered", { token: "app", exempt: false });
  await assert.rejects(create("open", { token: "app", exempt: true }), {
    code: "permission_denied",
    field: "stream.privacy.exempt",
    remedy: /token of role privacy/,
  });
  await create("open", { token: "officer", exempt: true });
});

test("only the privacy role begins, changes and ends triggers that anonymize", async (t) => {
  const triggers = new TriggerServiceClient(gateway.address, secure);
  t.after(() => triggers.close());
  const trigger = (types: string[], action: "anonymize" | "nats"): Trigger =>
    Trigger.fromPartial({
      id: "clean",
      types,
      action: action === "nats" ? { $case: "nats", value: { name: "a" } } : { $case: action, value: {} },
    });
  const cleaning = trigger(["privacy_violation"], "anonymize");
  const make = (made: Trigger, token: string): Promise<unknown> =>
    answer((done) => triggers.createTrigger({ trigger: made }, withToken(`Bearer ${token}`), done));
  const change = (changed: Trigger, token: string): Promise<unknown> =>
    answer((done) => triggers.updateTrigger({ trigger: changed }, withToken(`Bearer ${token}`), done));
  const end = (token: string): Promise<unknown> =>
    answer((done) => triggers.deleteTrigger({ stream: "", id: "clean" }, withToken(`Bearer ${token}`), done));
  const denied = {
    code: "permission_denied",
    field: "trigger.anonymize",
    remedy: /token of role privacy/,
  } as const;
  await assert.rejects(make(cleaning, "app"), denied);
  await assert.rejects(make(trigger(["privacy_violation", "dead_letter"], "anonymize"), "officer"), {
    code: "invalid_argument",
    field: "trigger.types",
    remedy: /new_data, privacy_violation, similarity_threshold, notification/,
  });
  await make(cleaning, "officer");
  await assert.rejects(change({ ...cleaning, paused: true }, "app"), denied);
  await assert.rejects(change(trigger(["new_data"], "nats"), "app"), denied);
  await assert.rejects(end("app"), denied);
  await change(trigger(["new_data"], "nats"), "officer");
  await end("app");
});

test("nothing passes in the clear", async () => {
  const plain = new StreamServiceClient(gateway.address, credentials.createInsecure());
  await assert.rejects(list(withToken("Bearer app"), plain), { code: "unavailable" });
  plain.close();
});

test("tokens are exchanged without a restart, and a file that is bad changes nothing", async () => {
  await writeFile(tokensFile, '{ "tokens": [');
  await list(withToken("Bearer app"));
  await writeTokens([entry("fresh", "user"), entry("officer", "privacy")]);
  const isServed = (token: string) =>
    list(withToken(`Bearer ${token}`)).then(
      () => true,
      () => false,
    );
  await eventually(() => isServed("fresh"), { what: "the new token is known" });
  assert.equal(await isServed("app"), false);
});

test("settings and files that are bad are told by the field, and no file's content", async () => {
  const make = (more: object) =>
    createCallers(parseConfig(gatewayConfig, { auth: { tokensFile: path }, ...more }, "test"), testRuntime());
  const path = join(dir, "bad.json");
  assert.throws(() => make({}), { code: "not_found", field: "auth.tokensFile" });
  const bad: [string, RegExp][] = [
    ["secret", /no JSON/],
    [
      JSON.stringify({ tokens: [{ name: "a", sha256: "secret", role: "user" }] }),
      /tokens\.0\.sha256.*64 hex/,
    ],
    [JSON.stringify({ tokens: [entry("a", "admin")] }), /tokens\.0\.role/],
    [JSON.stringify({ tokens: [entry("a", "user"), entry("a", "privacy")] }), /listed twice/],
    [JSON.stringify({ token: [] }), /tokens/],
  ];
  for (const [text, message] of bad) {
    await writeFile(path, text);
    const refusal = { code: "invalid_argument", field: "auth.tokensFile", remedy: /sha256/ };
    assert.throws(() => make({}), { ...refusal, message });
    assert.throws(
      () => make({}),
      (error) => !String(error).includes("secret"),
    );
  }
  await writeTokens([]);
  const both = { auth: { tokensFile }, privacy: { exemptAllowed: true } };
  assert.throws(() => make(both), { code: "invalid_argument", field: "privacy.exemptAllowed" });
});

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { text as textOf } from "node:stream/consumers";
import { after, before, describe, it, type TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import {
  type Broker,
  connectBroker,
  createPublisher,
  listenerUser,
  seedFile,
  subjects,
} from "@millrace/messaging";
import { Event } from "@millrace/proto/event";
import { silentLogger } from "@millrace/runtime";
import { createStreamProcessor, type DeadLetter, type StreamEvent } from "@millrace/sdk";
import { startTestSystem, type TestSystem } from "../system/local-system.js";
import { until as untilFor } from "../system/observe.js";
import { type ProgramEnd, runToEnd } from "../system/run-program.js";

const command = fileURLToPath(new URL("../../../cli/bin/millrace.mjs", import.meta.url));

/** What is lost shows sooner than by the usual minute; a killed holder's event comes again after 10 s. */
const until = (holds: () => boolean | Promise<boolean>, what: string): Promise<void> =>
  untilFor(holds, what, { timeoutMs: 25_000 });
const quiet = {
  enrichments: { embeddings: false, sentiment: false },
  outputs: { artifacts: false, search: false },
} as const;
const privacy = { detectorsOff: ["EMAIL"] };
const secret = Buffer.alloc(32, 7).toString("base64");

interface Received {
  headers: IncomingMessage["headers"];
  body: string;
}

/** A target that answers each request as `answer` says, and remembers what it got. */
async function startTarget(
  t: TestContext,
  answer: (reply: ServerResponse, count: number) => void,
): Promise<{ url: string; received: Received[]; underWayMax: () => number }> {
  const received: Received[] = [];
  let underWay = 0;
  let most = 0;
  const server = createServer(async (request, reply) => {
    most = Math.max(most, ++underWay);
    reply.once("close", () => (underWay -= 1));
    received.push({ headers: request.headers, body: await textOf(request) });
    answer(reply, received.length);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  return { url, received, underWayMax: () => most };
}

const idsOf = (received: readonly Received[]) => received.map(({ headers }) => headers["webhook-id"]);

describe("triggers", () => {
  let system: TestSystem;
  before(async () => {
    system = await startTestSystem({
      allowPrivate: ["127.0.0.1"],
      settings: { output: { triggers: { retryDelaysMs: [300, 300, 300] } } },
    });
    await mkdir(join(system.inputDir, "secrets"), { recursive: true });
    await writeFile(join(system.inputDir, "secrets", "hook"), `whsec_${secret}\n`);
  });
  after(() => system.stop());

  it("a webhook gets each event signed, over failures and a killed output, under one id", async (t) => {
    const { triggers } = system.client;
    await using stream = await createStreamProcessor("orders", system.client, quiet);
    const target = await startTarget(t, (reply, count) => {
      if (count === 1) reply.writeHead(500).end();
      else if (count === 2) killOutput();
      else reply.writeHead(200).end();
    });
    const other = await startTarget(t, (reply) => reply.writeHead(204).end());
    const webhook = { url: target.url, secrets: ["hook"], headers: { "x-key": "k3y" } };
    const where = { sourceIds: ["ann@example.com"] };
    const made = await triggers.create({ id: "alarm", stream: "orders", on: ["new_data"], where, webhook });
    assert.deepEqual(made.webhook?.headers, { "x-key": "***" });
    assert.ok(!made.where?.sourceIds?.includes("ann@example.com"), "stored as events name it");
    await triggers.create({ id: "all", on: ["new_data"], webhook: { url: other.url } });
    await stream.publish([{ text: "a", sourceId: "ann@example.com" }]);
    await stream.publish([{ text: "b", sourceId: "bob" }]);
    await until(() => target.received.length >= 3 && new Set(idsOf(other.received)).size >= 2, "deliveries");
    assert.equal(new Set(idsOf(target.received)).size, 1, "once logically");
    const { headers, body } = target.received.at(-1) as Received;
    const signed = [headers["webhook-id"], headers["webhook-timestamp"], body].join(".");
    const mac = createHmac("sha256", Buffer.from(secret, "base64")).update(signed).digest("base64");
    assert.deepEqual([headers["webhook-signature"], headers["x-key"]], [`v1,${mac}`, "k3y"]);
    const { type, data } = JSON.parse(body) as { type: string; data: { messages: unknown[] } };
    assert.deepEqual([type, data.messages.length], ["new_data", 1]);
    assert.doesNotMatch(target.received.map((each) => each.body).join(), /example|bob/);
    await until(async () => (await triggers.get({ id: "alarm", stream: "orders" })).waiting === 0, "settled");
    await triggers.delete({ id: "all" });
    await triggers.delete({ id: "alarm", stream: "orders" });
  });

  it("a broken target gets one at a time, then dead letters, and holds up no other", async (t) => {
    const { triggers } = system.client;
    await using stream = await createStreamProcessor("parts", system.client, quiet);
    let status = 503;
    const broken = await startTarget(t, (reply) => void setTimeout(() => reply.writeHead(status).end(), 20));
    const well = await startTarget(t, (reply) => reply.writeHead(200).end());
    const on = ["new_data"] as const;
    const webhook = { url: broken.url, headers: { "x-key": "hunter2" } };
    await triggers.create({ id: "broken", stream: "parts", on, webhook });
    await stream.publish({ text: "first" });
    await until(() => broken.received.length > 0, "the first failure");
    await triggers.create({ id: "well", stream: "parts", on, webhook: { url: well.url } });
    for (const text of ["second", "third"]) await stream.publish({ text });
    await until(() => well.received.length >= 2, "the healthy one's");
    const broke = await triggers.get({ id: "broken", stream: "parts" });
    assert.equal(broke.lastError, "the target answered 503");
    assert.equal(broke.state, "failing");
    const dead = async () => (await triggers.get({ id: "broken", stream: "parts" })).deadLetters;
    await until(async () => (await dead()) === 3, "dead letters");
    assert.equal(broken.underWayMax(), 1);
    assert.equal(broken.received.length, 12, "four tries each");

    const { deadLetters } = system.client;
    const letters = await listed("parts");
    assert.deepEqual(
      letters.map(({ stage, kind, trigger, refusal }) => [
        stage,
        kind,
        trigger?.stream,
        trigger?.id,
        refusal,
      ]),
      Array.from({ length: 3 }, () => ["trigger", "event", "parts", "broken", ""]),
    );
    const [first = "", second = ""] = letters.map(({ id }) => id);
    const { event, message } = await deadLetters.get(first);
    assert.deepEqual([event?.type, event?.stream, message], ["new_data", "parts", undefined]);
    const told = await millrace("dlq", "ls", "parts");
    assert.match(told.stdout, /^trigger-\d+ {2}.* {2}parts {2}trigger parts\/broken {2}event of \d+ B {2}4 /);
    assert.match((await millrace("dlq", "show", first)).stdout, /^new_data {2}.*"messages":\[/m);
    // Neither headers nor the text are in what is shown.
    assert.doesNotMatch(JSON.stringify([letters, event]) + told.stdout, /hunter2|first/);
    await assert.rejects(deadLetters.redrive(first), {
      code: "failed_precondition",
      message: /answered 503/,
    });
    assert.equal(broken.received.length, 13);
    await triggers.update({ id: "broken", stream: "parts", on, webhook, paused: true });
    await until(async () => (await listed("parts"))[0]?.refusal !== "", "output knows that it is paused");
    await assert.rejects(deadLetters.redrive(first), { code: "failed_precondition", message: /paused/ });
    await triggers.update({ id: "broken", stream: "parts", on, webhook });
    await until(async () => (await listed("parts"))[0]?.refusal === "", "output knows that it is on");

    status = 200;
    assert.match((await millrace("dlq", "discard", first)).stdout, /^Discarded: 1\.$/m);
    const done = await millrace("dlq", "redrive", "--stream", "parts", "--stage", "trigger");
    assert.equal(done.stdout, "Redriven: 2. Left: 0.\n", done.stderr);
    const again = broken.received.slice(13);
    const earlier = new Set(idsOf(broken.received.slice(0, 13)));
    assert.deepEqual([again.length, new Set(idsOf(again)).size], [2, 2], "each once");
    assert.ok(
      idsOf(again).every((id) => earlier.has(id)),
      "under the id that it had",
    );
    assert.deepEqual([await listed("parts"), await dead()], [[], 0]);
    await assert.rejects(deadLetters.redrive(second), { code: "not_found", field: "id" });
    for (const id of ["broken", "well"]) await triggers.delete({ id, stream: "parts" });
  });

  it("they are made, shown, paused and removed at the command line", async (t) => {
    await using stream = await createStreamProcessor("shell", system.client, quiet);
    const target = await startTarget(t, (reply) => reply.writeHead(200).end());
    const of = ["--stream", "shell"];
    const hook = ["--webhook", target.url, "--secret", "hook", "--header-secret", "x-key=hook"];
    const where = ["--on", "new_data", "--source-id", "a"];
    const made = await millrace("triggers", "add", "shop", ...of, ...where, ...hook);
    assert.deepEqual([made.code, made.stderr], [0, "Trigger shell/shop is on.\n"]);
    await stream.publish({ text: "a", sourceId: "a" });
    await until(() => target.received.length === 1, "the delivery");
    const told = await millrace("triggers", "ls", "shell");
    assert.match(told.stdout, /^shell\/shop +active +new_data +webhook http:\/\/127\.0\.0\.1:\d+\/ +0 +0$/m);
    const shown = await millrace("triggers", "show", "shop", ...of);
    assert.match(shown.stdout, /^webhook: \{.*"secrets":\["hook"\].*"x-key":\{"secret":"hook"\}/m);
    assert.equal(
      (await millrace("triggers", "pause", "shop", ...of)).stderr,
      "Trigger shell/shop is paused.\n",
    );
    const paused = JSON.parse((await millrace("triggers", "ls", "shell", "--json")).stdout) as object;
    assert.ok("state" in paused && paused.state === "paused");
    await stream.publish({ text: "b", sourceId: "a" });
    assert.equal((await millrace("triggers", "resume", "shop", ...of)).stderr, "Trigger shell/shop is on.\n");
    await until(() => target.received.length === 2, "what waited");
    assert.equal((await millrace("triggers", "rm", "shop", ...of)).code, 0);
    const gone = await millrace("triggers", "show", "shop", ...of);
    assert.deepEqual([gone.code, /there is none \(field: id\)/.test(gone.stderr)], [1, true], gone.stderr);
    const none = await millrace("triggers", "add", "x", "--on", "new_data");
    assert.match(none.stderr, /action is missing \(field: action\)\. Give one of --webhook, --nats/);
  });

  it("410 disables until an update, paused triggers wait, and a deleted one ends", async (t) => {
    const { triggers } = system.client;
    await using stream = await createStreamProcessor("goods", system.client, quiet);
    let status = 410;
    const target = await startTarget(t, (reply) => reply.writeHead(status).end());
    const settings = { id: "gone", stream: "goods", on: ["new_data"], webhook: { url: target.url } } as const;
    const stateOf = async () => (await triggers.get(settings)).state;
    await triggers.create(settings);
    await stream.publish({ text: "a" });
    await until(async () => (await stateOf()) === "disabled", "410 is told");
    status = 200;
    await triggers.update({ ...settings, paused: true });
    await stream.publish({ text: "b" });
    await until(async () => (await triggers.get(settings)).waiting === 2, "both wait");
    assert.deepEqual([await stateOf(), target.received.length], ["paused", 1]);
    await triggers.update(settings);
    await until(() => target.received.length === 2, "the one that was not tried");
    await triggers.delete(settings);
    await assert.rejects(triggers.get(settings), { code: "not_found" });
  });

  it("a notice to the privacy team is carried on by a trigger, on the broker as a CloudEvent", async () => {
    const { triggers } = system.client;
    await using stream = await createStreamProcessor("mail", system.client, quiet);
    const event = new Promise<StreamEvent<"privacy_violation">>((resolve) =>
      stream.onEvent("privacy_violation", resolve),
    );
    await stream.publish({ text: "card 4111 1111 1111 1111" });
    await assert.rejects(stream.notifyPrivacyTeam(await event), { code: "failed_precondition" });
    const heard = await listen("trigger.default.>");
    const where = { channels: ["privacy-team"] };
    await triggers.create({ id: "team", on: ["notification"], where, nats: "privacy" });
    const id = await stream.notifyPrivacyTeam(await event);
    await triggers.create({ id: "cards", stream: "mail", on: ["privacy_violation"], notify: "privacy-team" });
    await stream.publish({ text: "card 5500 0000 0000 0004 of ann@example.com" });
    await until(() => heard.messages.length === 2, "both notices");
    const [first, second] = heard.messages.map(({ body }) => JSON.parse(body) as Notice);
    assert.deepEqual([first?.type, first?.data.id, first?.data.counts], ["notification", id, { CARD: 1 }]);
    assert.equal(first?.data.eventId, (await event).id);
    assert.deepEqual(second?.data.counts, { CARD: 1, EMAIL: 1 });
    assert.equal(heard.messages[0]?.type, "millrace.notification");
    await heard.close();
  });

  it("contents that an event leads to are cleaned by every detector; one with none is counted", async () => {
    const { triggers } = system.client;
    const lenient = { enrichments: quiet.enrichments, outputs: { search: false }, privacy };
    await using stream = await createStreamProcessor("cleaned", system.client, lenient);
    await triggers.create({ id: "clean", stream: "cleaned", on: ["privacy_violation"], anonymize: true });
    await stream.publish({ text: "card 4111 1111 1111 1111 of ann@example.com", sourceId: "desk" });
    const artifact = await stream.getOrCreateArtifact("desk");
    const textOf = async (): Promise<string> => {
      for await (const { message } of artifact.list()) return message.kind === "text" ? message.text : "";
      return "";
    };
    await until(async () => (await textOf()) === "card [CARD] of [EMAIL]", "the content is clean");
    // Its settings say so still: what comes next passes as before, until the trigger acts on it.
    const status = async () => triggers.get({ id: "clean", stream: "cleaned" });
    await until(async () => (await status()).waiting === 0, "settled");
    assert.equal((await status()).deadLetters, 0);
    await triggers.create({ id: "notices", stream: "cleaned", on: ["notification"], anonymize: true });
    await triggers.create({ id: "ask", stream: "cleaned", on: ["source_failed"], notify: "privacy-team" });
    await tellSourceFailed("cleaned");
    const port = system.described.ports.http.output;
    const metric = /millrace_trigger_left_total\{[^}]*reason="no_content"[^}]*\} 1/;
    const metrics = async () => (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
    await until(async () => metric.test(await metrics()), "counted");
    assert.equal((await triggers.get({ id: "notices", stream: "cleaned" })).deadLetters, 0);
  });

  async function listed(stream: string): Promise<DeadLetter[]> {
    const found: DeadLetter[] = [];
    for await (const letter of system.client.deadLetters.list({ stream })) found.push(letter);
    return found;
  }

  function millrace(...args: string[]): Promise<ProgramEnd> {
    const env = { MILLRACE_ADDRESS: system.client.address };
    return runToEnd({ args: [command, ...args], env, timeoutMs: 30_000 });
  }

  /** As ingestion tells it: an event that leads to no content. */
  async function tellSourceFailed(stream: string): Promise<void> {
    const broker = await connectAs("ingestion");
    const event = Event.fromPartial({
      id: "f".repeat(32),
      type: "source_failed",
      stream,
      timeMs: Date.now(),
    });
    const subject = subjects.event("default", stream, event.type);
    await createPublisher(broker).publish({ subject, data: Event.encode(event).finish(), id: event.id });
    await broker.connection.close();
  }

  function connectAs(user: string): Promise<Broker> {
    const { natsUrl: url, keysDir = "" } = system.described;
    const named = { user, seedFile: seedFile(keysDir, user) };
    return connectBroker({ url, ...named, log: silentLogger, onClosed: () => undefined });
  }

  /** A program that is no part of Millrace, as the user that the broker has for it. */
  async function listen(subject: string) {
    const broker = await connectAs(listenerUser);
    const messages: { type: string | undefined; body: string }[] = [];
    const heard = broker.connection.subscribe(subject);
    void (async () => {
      for await (const each of heard)
        messages.push({ type: each.headers?.get("ce-type"), body: each.string() });
    })();
    await broker.connection.flush();
    return { messages, close: () => broker.connection.close() };
  }

  function killOutput(): void {
    const pid = system.programs().find(({ name }) => name === "output")?.pid;
    if (pid !== undefined) process.kill(pid, "SIGKILL");
  }
});

interface Notice {
  type: string;
  data: { id: string; eventId: string; counts: Record<string, number> };
}

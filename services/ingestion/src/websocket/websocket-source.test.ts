import assert from "node:assert/strict";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import type { OpenBatch } from "@millrace/envelope";
import { CodedError } from "@millrace/errors";
import { Kind } from "@millrace/proto/batch";
import { type Source, type Value, WebSocketSource } from "@millrace/proto/source";
import { Stream } from "@millrace/proto/stream";
import { createEgress, createSecrets, systemClock } from "@millrace/runtime";
import { createAuthority, eventually as poll } from "@millrace/runtime/testing";
import type { WebSocket } from "ws";
import type { SourceGap } from "../source/source-gaps.js";
import type { Rejected, SourceReader } from "../source/source-reader.js";
import { createFeed, type Feed } from "./testing.js";
import { websocketKind } from "./websocket-kind.js";

const eventually = (what: string, probe: () => boolean) => poll(probe, { what, pollMs: 2 });
const text = (value: string): Value => ({ kind: { $case: "text", value } });
const secret = (value: string): Value => ({ kind: { $case: "secret", value } });

const socketOf = async (feed: Feed): Promise<WebSocket> => {
  await eventually("a connection", () => feed.sockets.length > 0);
  return feed.sockets.at(-1) as WebSocket;
};

/** Certificates and secrets for a test, in a folder of their own. */
async function createFolder(t: TestContext) {
  const dir = await mkdtemp(join(tmpdir(), "websocket-"));
  t.after(() => rm(dir, { recursive: true, force: true }));
  const authority = await createAuthority(join(dir, "ca"));
  const { certFile, keyFile } = await authority.issue("feed.example");
  const [cert, key] = await Promise.all([readFile(certFile), readFile(keyFile)]);
  return { dir, caFile: authority.caFile, tls: { cert, key } };
}

interface Opened {
  reader: SourceReader;
  appended: { texts: string[]; from: number; to: number; kinds: number[]; key: string; sourceId: string }[];
  rejected: Rejected[];
  gaps: SourceGap[];
  texts(): string[];
  /** What buffer refuses the next appends with. */
  refuse: CodedError | undefined;
}

interface OpenOptions {
  allow?: string[];
  caFile?: string;
  secretsDir?: string;
  settings?: Partial<WebSocketSource>;
  /** What an earlier reader had. */
  completeToMs?: number;
  /** EVENTS takes no gap before. */
  telling?: Promise<void>;
  /** Times as fast as the clock: pauses and time-outs come sooner. */
  speed?: number;
}

/** A reader of a feed, with a buffer that remembers. */
function openReader(t: TestContext, url: string, options: OpenOptions = {}): Opened {
  const { allow = ["127.0.0.1"], caFile, secretsDir: dir, settings, speed = 1 } = options;
  const clock = {
    ...systemClock,
    sleep: (ms: number, signal?: AbortSignal) => systemClock.sleep(ms / speed, signal),
  };
  const opened: Omit<Opened, "reader"> = {
    appended: [],
    rejected: [],
    gaps: [],
    refuse: undefined,
    texts: () => opened.appended.flatMap(({ texts }) => texts),
  };
  const kind = websocketKind({
    egress: createEgress({ allow, caFile }),
    secrets: createSecrets({ dir }),
    runtime: { clock, random: () => 0 },
    tellGap: async (_, gap) => {
      await options.telling;
      opened.gaps.push(gap);
    },
    completeTo: async () => options.completeToMs,
  });
  const value = WebSocketSource.fromPartial({ url, ...settings });
  const source: Source = { id: "a".repeat(32), stream: "feed", paused: false, kind: undefined };
  const reader = kind.open({
    tenant: "default",
    stream: Stream.fromPartial({ name: "feed", createdMs: 1, batchSize: 1000 }),
    source: { ...source, kind: { $case: "websocket", value } },
    lastPosition: async () => 0,
    append: async (batch) => {
      if (opened.refuse !== undefined) throw opened.refuse;
      opened.appended.push(shownBatch(batch));
    },
    reject: async (letter) => {
      opened.rejected.push(letter);
    },
  });
  t.after(() => reader.close());
  reader.start();
  return Object.assign(opened, { reader });
}

function shownBatch({ header, columns, body }: OpenBatch): Opened["appended"][number] {
  let at = 0;
  const texts = [...columns.lengths].map((length) => {
    const text = Buffer.from(body.subarray(at, at + length)).toString();
    at += length;
    return text;
  });
  const kinds = columns.kinds.length > 0 ? columns.kinds : texts.map(() => columns.kind);
  const [sourceId = ""] = columns.sourceIds;
  return { texts, from: header.positionFrom, to: header.positionTo, kinds, key: header.source, sourceId };
}

test("text and binary frames are appended in order under contiguous positions", async (t) => {
  const feed = await createFeed(t);
  const { appended, texts, reader } = openReader(t, feed.url);
  const socket = await socketOf(feed);
  const sent = Array.from({ length: 5_000 }, (_, index) => `message ${index}`);
  for (const [index, each] of sent.entries()) socket.send(index === 7 ? Buffer.from(each) : each);
  socket.send("");
  await eventually("all appended", () => texts().length === sent.length + 1);
  assert.deepEqual(texts(), [...sent, ""]);
  let next = 0;
  for (const { from, to, texts: some } of appended) {
    assert.deepEqual([from, to - from], [next, some.length]);
    next = to;
  }
  const kinds = appended.flatMap((batch) => batch.kinds);
  assert.deepEqual([kinds[6], kinds[7]], [Kind.KIND_TEXT, Kind.KIND_DATA]);
  assert.ok(appended.length < 500, `${appended.length} batches: they grow while one is on its way`);
  assert.deepEqual(new Set(appended.map(({ sourceId }) => sourceId)), new Set(["127.0.0.1"]));
  const { completeToMs, ...status } = reader.status();
  assert.ok(completeToMs !== undefined, "all is durable");
  assert.deepEqual(status, {
    state: "running",
    position: `${next} messages since it was opened here`,
    lastError: undefined,
  });
});

test("headers and frames come from settings and secrets, over TLS with the operator's CA", async (t) => {
  const { dir, caFile, tls } = await createFolder(t);
  const feed = await createFeed(t, { tls });
  const secretsDir = join(dir, "secrets");
  await mkdir(secretsDir);
  await writeFile(join(secretsDir, "token"), "Bearer one\n");
  await writeFile(join(secretsDir, "login"), '{"op":"auth","key":"k1"}');
  const settings = {
    headers: { authorization: secret("token"), "x-plain": text("p") },
    subscribe: [secret("login"), text('{"op":"subscribe"}')],
    subprotocols: ["v1.feed"],
  };
  openReader(t, feed.url, { caFile, secretsDir, settings, speed: 50 });
  await eventually("both frames", () => feed.heard.length === 2);
  const { authorization, "x-plain": plain, "sec-websocket-protocol": protocol } = feed.asked[0] ?? {};
  assert.deepEqual([authorization, plain, protocol], ["Bearer one", "p", "v1.feed"]);
  assert.equal(feed.asked[0]?.["sec-websocket-extensions"], undefined, "no deflate");
  assert.deepEqual(feed.heard, ['{"op":"auth","key":"k1"}', '{"op":"subscribe"}']);
  await writeFile(join(secretsDir, "token"), "Bearer two\n");
  for (const socket of feed.sockets) socket.terminate();
  const isAskedAnew = (): boolean => feed.asked.at(-1)?.["authorization"] === "Bearer two";
  await eventually("another connection with what the file holds now", isAskedAnew);
});

test("a lost connection is opened again, told as a gap, and asked to go on where it was", async (t) => {
  const feed = await createFeed(t);
  const resume = { frame: '{"after":{value}}', field: "data.seq" };
  const { gaps, texts, appended, reader } = openReader(t, feed.url, { settings: { resume }, speed: 10 });
  const socket = await socketOf(feed);
  socket.send('{"data":{"seq":"a$&1"}}');
  socket.send("no JSON");
  await eventually("appended", () => texts().length === 2);
  socket.close(1012, "Anna left");
  await eventually("the resume frame", () => feed.heard.length === 1);
  assert.equal(feed.heard[0], '{"after":"a$&1"}');
  const again = await socketOf(feed);
  again.send("on");
  await eventually("it goes on", () => texts().length === 3);
  assert.deepEqual([appended.at(-1)?.from, appended.at(-1)?.key], [2, appended[0]?.key]);
  await eventually("the gap is told", () => gaps.length === 1);
  const [gap] = gaps;
  assert.ok(gap !== undefined && gap.resumed && gap.toMs >= gap.fromMs);
  assert.equal(gap.reason, "connection closed: the peer restarts (1012)");
  assert.equal(reader.status().state, "running");
});

test("what came behind a gap that is not told yet counts as complete no more than the gap", async (t) => {
  const feed = await createFeed(t);
  let tell = (): void => undefined;
  const telling = new Promise<void>((resolve) => (tell = resolve));
  const { gaps, reader } = openReader(t, feed.url, { completeToMs: 1_000, telling });
  await eventually("it runs", () => reader.status().state === "running");
  assert.equal(reader.status().completeToMs, 1_000);
  tell();
  await eventually("told", () => gaps.length === 1);
  await eventually("and complete", () => (reader.status().completeToMs ?? 0) > 1_000);
});

test("what an earlier reader of the source may have missed is told, once", async (t) => {
  const feed = await createFeed(t);
  const { gaps, reader } = openReader(t, feed.url, { completeToMs: 1_000, speed: 10 });
  await eventually("told", () => gaps.length === 1);
  assert.deepEqual([gaps[0]?.fromMs, gaps[0]?.resumed], [1_000, false]);
  assert.match(gaps[0]?.reason ?? "", /restart/);
  const isBehind = (): boolean => (reader.status().completeToMs ?? 0) >= (gaps[0]?.toMs ?? Infinity);
  await eventually("what comes from now on is not part of it", isBehind);
  (await socketOf(feed)).terminate();
  await eventually("the next one", () => gaps.length === 2);
  assert.ok((gaps[1]?.fromMs ?? 0) > 1_000);
});

test("while buffer is full the socket is not read, and then nothing is missing", async (t) => {
  const feed = await createFeed(t);
  const opened = openReader(t, feed.url, { speed: 20 });
  const socket = await socketOf(feed);
  opened.refuse = new CodedError("resource_exhausted", "append: the stream is full");
  const body = "x".repeat(64 * 1024);
  for (let index = 0; index < 800; index++) socket.send(`${index} ${body}`);
  await eventually("the peer is held back", () => opened.reader.status().state === "waiting");
  const waitsSinceMs = systemClock.now();
  // 50 MiB don't fit into the sockets of both ends.
  let held = socket.bufferedAmount;
  await eventually("no more is taken", () => {
    const isSteady = held === socket.bufferedAmount;
    held = socket.bufferedAmount;
    return isSteady && held > 0;
  });
  assert.ok(held > 20 * 1024 * 1024, `${held} bytes wait at the peer`);
  const { completeToMs = Infinity } = opened.reader.status();
  assert.ok(completeToMs <= waitsSinceMs, "what came since is not durable");
  opened.refuse = undefined;
  await eventually("all appended", () => opened.texts().length === 800);
  assert.deepEqual(
    opened.texts().map((each) => Number(each.split(" ")[0])),
    Array.from({ length: 800 }, (_, index) => index),
  );
});

test("what was received is appended before a source is closed", async (t) => {
  const feed = await createFeed(t);
  const opened = openReader(t, feed.url, { speed: 20 });
  const socket = await socketOf(feed);
  opened.refuse = new CodedError("unavailable", "append: buffer is away");
  socket.send("last");
  await eventually("it waits", () => opened.reader.status().lastError?.includes("buffer is away") === true);
  const closed = opened.reader.close();
  opened.refuse = undefined;
  await closed;
  assert.deepEqual(opened.texts(), ["last"]);
});

test("what is too long for a row is dead-lettered, beyond the limit the connection ends", async (t) => {
  const feed = await createFeed(t);
  const { rejected, texts, reader } = openReader(t, feed.url);
  const socket = await socketOf(feed);
  socket.send("before");
  socket.send("y".repeat(800 * 1024));
  socket.send("after");
  await eventually("both rows", () => texts().length === 2);
  const letter = rejected[0];
  assert.deepEqual(
    [letter?.truncatedBytes, letter?.batch.body.length, letter?.batch.header.positionFrom],
    [736 * 1024, 64 * 1024, 1],
  );
  const code = new Promise((resolve) => socket.on("close", resolve));
  socket.send("z".repeat(1024 * 1024 + 1));
  assert.equal(await code, 1009);
  await eventually("it failed", () => reader.status().state === "failed");
  assert.match(reader.status().lastError ?? "", /larger than 1 MiB \(1009\)/);
});

test("a bomb of fragments ends the connection while it is small", async (t) => {
  const feed = await createFeed(t);
  const { reader } = openReader(t, feed.url);
  const socket = await socketOf(feed);
  const code = new Promise((resolve) => socket.on("close", resolve));
  const before = process.memoryUsage().rss;
  for (let index = 0; index < 130_000; index++) socket.send("a", { fin: false });
  assert.equal(await code, 1008);
  await eventually("it failed", () => reader.status().state === "failed");
  assert.match(reader.status().lastError ?? "", /too many fragments \(1008\)/);
  const grown = process.memoryUsage().rss - before;
  assert.ok(grown < 150 * 1024 * 1024, `${grown} bytes more, the peer's own included`);
});

test("a peer that answers no ping is given up, and the ping of its own is sent", async (t) => {
  const feed = await createFeed(t, { autoPong: false });
  const settings = { pingInterval: { seconds: 1, nanos: 0 }, pingFrame: "are you there" };
  const { gaps } = openReader(t, feed.url, { settings, speed: 100 });
  await eventually("it connected again", () => feed.asked.length >= 2);
  assert.equal(feed.heard[0], "are you there");
  await eventually("told", () => gaps.length > 0);
  assert.match(gaps[0]?.reason ?? "", /nothing came for 10 s, not even a pong/);
});

test("a peer that accepts and never answers the handshake is given up", async (t) => {
  const taken: Socket[] = [];
  const server = createServer((socket) => taken.push(socket));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    for (const socket of taken) socket.destroy();
    server.close();
  });
  const { port } = server.address() as { port: number };
  const { reader } = openReader(t, `ws://127.0.0.1:${port}/`, { speed: 100 });
  await eventually("told", () => /no answer to the handshake/.test(reader.status().lastError ?? ""));
  assert.equal(reader.status().state, "waiting");
  await eventually("it connected again", () => taken.length >= 2);
});

const refusals: [number, "failed" | "waiting", RegExp][] = [
  [401, "failed", /unauthenticated: .* status 401 .*Correct the credentials/],
  [403, "failed", /permission_denied: .*Correct the credentials/],
  [302, "failed", /Redirects are not followed/],
  [404, "failed", /a WebSocket is not served there/],
  [503, "waiting", /unavailable: .*status 503/],
];
for (const [status, state, expected] of refusals) {
  test(`status ${status} in place of an upgrade: ${state}`, async (t) => {
    const feed = await createFeed(t);
    feed.refuse = { status, headers: { location: "ws://169.254.169.254/" } };
    const { reader } = openReader(t, feed.url);
    await eventually("told", () => reader.status().lastError !== undefined);
    assert.equal(reader.status().state, state);
    assert.match(reader.status().lastError ?? "", expected);
    assert.equal(feed.asked.length, 1, "tried again later, not at once");
  });
}

test("a private host, an untrusted certificate and a missing secret fail with what to do", async (t) => {
  const { tls } = await createFolder(t);
  const feed = await createFeed(t, { tls });
  const settings = { headers: { authorization: secret("token") } };
  const cases: [Parameters<typeof openReader>[2], RegExp][] = [
    [{ allow: [] }, /not a public host .*egress\.allowPrivate/],
    [{}, /certificate is not trusted .*egress\.caFile/],
    [{ settings }, /headers\.authorization: it names the secret token.*secretsDir/],
  ];
  for (const [options, expected] of cases) {
    const { reader } = openReader(t, feed.url, options);
    await eventually("told", () => reader.status().lastError !== undefined);
    assert.equal(reader.status().state, "failed");
    assert.match(reader.status().lastError ?? "", expected);
    await reader.close();
  }
});

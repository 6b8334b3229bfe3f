import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { adminUser, connectBroker, readLedger, seedFile } from "@millrace/messaging";
import { silentLogger } from "@millrace/runtime";
import { createStreamProcessor, type ReceivedMessage, type StreamProcessor } from "@millrace/sdk";
import { startTestSystem, type TestSystem } from "../system/local-system.js";
import { storedLines, until } from "../system/observe.js";
import { runToEnd } from "../system/run-program.js";
import { workspace } from "../system/supplies.js";

const plain = {
  enrichments: { embeddings: false, sentiment: false },
  outputs: {
    results: true,
    artifacts: false,
    search: false,
    events: false,
    storage: { format: "records", rollAge: "200ms" },
  },
} as const;
const fast = { messagesPerSecond: 100_000 };

describe("replay", () => {
  let system: TestSystem;
  let source: StreamProcessor;
  /** Event times: a minute apart. */
  const timeOf = (at: number): Date => new Date(Date.UTC(2026, 0, 1, 0, at));
  const pushed = 300;
  const lines = 500;

  before(async () => {
    system = await startTestSystem();
    source = await createStreamProcessor("source", system.client, plain);
    await source.publish(
      Array.from({ length: pushed }, (_, at) => ({
        text: `message ${at} of anna@example.com`,
        sourceId: `id-${at % 7}`,
        attributes: { at: String(at) },
        eventTime: timeOf(at),
      })),
    );
    const path = join(system.inputDir, "lines");
    await mkdir(path);
    await writeFile(join(path, "a.jsonl"), Array.from({ length: lines }, (_, at) => `line ${at}\n`).join(""));
    await source.addFileSource({ path, pattern: "*.jsonl", pollInterval: "50ms" });
    await until(
      async () => (await storedLines(system, "source")).length === pushed + lines,
      "the stored files",
    );
  });
  after(async () => {
    await source.close();
    await system.stop();
  });

  for (const from of ["storage", "results"] as const) {
    it(`from ${from} brings every message once, however often it is called`, async () => {
      await using target = await createStreamProcessor(`from-${from}`, system.client, plain);
      const before = await accountsOf("source");
      const live: ReceivedMessage[] = [];
      const stopping = new AbortController();
      const listening = (async () => {
        for await (const message of source.subscribe({ signal: stopping.signal })) live.push(message);
      })();
      const options = { into: target.name, source: from, ...fast };
      const first = await source.replay(options);
      assert.deepEqual([first.source, first.messages, first.recognised], [from, pushed + lines, 0]);
      const again = await source.replay(options);
      assert.deepEqual([again.messages, again.recognised], [pushed + lines, pushed + lines]);
      const received = await readOut(target, pushed + lines);
      const wanted = await readOut(source, pushed + lines);
      const shown = ({ content, sourceId, attributes, eventTime }: ReceivedMessage): string =>
        JSON.stringify([content, sourceId, attributes, eventTime?.getTime()]);
      assert.deepEqual(received.map(shown).sort(), wanted.map(shown).sort());
      assert.equal(new Set(received.map(({ id }) => id)).size, pushed + lines);
      const { conservation } = await target.status();
      assert.deepEqual([conservation.in, conservation.out, conservation.balanced], [800, 800, true]);
      stopping.abort();
      await listening;
      assert.deepEqual(live, [], "a subscriber of the source hears nothing");
      assert.deepEqual(await accountsOf("source"), before, "and its accounts stay");
    });
  }

  it("takes an interval of times, whose rest can follow", async () => {
    await using target = await createStreamProcessor("timed", system.client, plain);
    const interval = { from: timeOf(100), to: timeOf(200) };
    const first = await source.replay({ into: "timed", ...interval, ...fast });
    assert.deepEqual([first.messages, first.recognised], [100, 0]);
    const inside = (await readOut(target, 100)).map(({ attributes }) => Number(attributes["at"]));
    assert.deepEqual(
      inside.sort((one, other) => one - other),
      Array.from({ length: 100 }, (_, at) => 100 + at),
    );
    const whole = await source.replay({ into: "timed", to: timeOf(pushed), source: "storage", ...fast });
    assert.equal(whole.messages, pushed);
    await until(
      async () => (await target.status()).conservation.out === pushed,
      "the rest, and nothing twice",
    );
  });

  it("takes an interval of positions in one source", async () => {
    await using target = await createStreamProcessor("placed", system.client, plain);
    const [sample] = (await readOut(source, pushed + lines)).filter(
      ({ attributes }) => attributes["at"] === "10",
    );
    assert.ok(sample !== undefined);
    const { position } = sample;
    const to = { source: position.source, offset: position.offset + 5 };
    for (const from of ["storage", "results"] as const) {
      const { messages } = await source.replay({ into: "placed", from: position, to, source: from, ...fast });
      assert.equal(messages, 5);
    }
    await until(async () => (await target.status()).conservation.out === 5, "five messages");
  });

  it("ends when it is canceled, and goes on when it is called again", async () => {
    await using target = await createStreamProcessor("canceled", system.client, plain);
    const stopping = new AbortController();
    const options = { into: "canceled", source: "storage" as const };
    const running = source.replay({
      ...options,
      messagesPerSecond: 100,
      signal: stopping.signal,
      onProgress: ({ messages }) => messages > 0 && stopping.abort(),
    });
    await assert.rejects(running, { code: "canceled" });
    await until(async () => (await target.status()).conservation.inFlight === 0, "what was sent");
    const { in: sent } = (await target.status()).conservation;
    assert.ok(sent > 0 && sent < pushed + lines, `${sent} were sent`);
    const done = await source.replay({ ...options, ...fast });
    // What was on its way when it was canceled may have arrived after it was counted.
    assert.equal(done.messages, pushed + lines);
    assert.ok(done.recognised >= sent && done.recognised < pushed + lines, `${done.recognised} recognised`);
    await until(async () => (await target.status()).conservation.out === pushed + lines, "all of it, once");
  });

  it("reads Parquet files", async () => {
    const columns = { ...plain.outputs, storage: { format: "parquet", rollAge: "100ms" } } as const;
    await using stored = await createStreamProcessor("columns", system.client, {
      ...plain,
      outputs: columns,
    });
    await using target = await createStreamProcessor("from-columns", system.client, plain);
    const text = { text: "\uFEFFnull \0, line\nfeed 😀", sourceId: "a", attributes: { at: "1" } };
    await stored.publish([
      { ...text, eventTime: timeOf(1) },
      { data: Uint8Array.of(0, 0xff, 0x0a), sourceId: "b" },
    ]);
    await stored.publish([{ text: "another part", sourceId: "c" }]);
    const run = () => stored.replay({ into: target.name, source: "storage", ...fast });
    // What was replayed before is recognised.
    await until(async () => (await run()).messages === 3, "the stored files");
    const received = await readOut(target, 3);
    const wanted = await readOut(stored, 3);
    const shown = ({ content, sourceId, attributes, eventTime }: ReceivedMessage): string =>
      JSON.stringify([content, sourceId, attributes, eventTime?.getTime()]);
    assert.deepEqual(received.map(shown).sort(), wanted.map(shown).sort());
  });

  it("is a command, which ends with the count or says what is wrong", async () => {
    await using target = await createStreamProcessor("commanded", system.client, plain);
    const address = ["--address", `127.0.0.1:${system.described.ports.grpc}`, "--json"];
    const program = join(workspace, "cli", "bin", "millrace.mjs");
    const run = (...args: string[]) =>
      runToEnd({ args: [program, "replay", "source", ...args, ...address], timeoutMs: 30_000 });
    const { code, stdout, stderr } = await run("--into", target.name, "--to", "2026-01-01T01:00:00Z");
    assert.deepEqual([code, JSON.parse(stdout).messages], [0, 60], stderr);
    const into = await run("--into", "nowhere");
    assert.deepEqual([into.code, /there is none \(field: into\)/.test(into.stderr)], [1, true], into.stderr);
    const time = await run("--into", target.name, "--from", "yesterday");
    assert.deepEqual([time.code, /Give a time/.test(time.stderr)], [2, true], time.stderr);
  });

  it("refuses what cannot be replayed, and says why", async () => {
    const into = "refusals";
    await using target = await createStreamProcessor(into, system.client, {
      ...plain,
      outputs: { ...plain.outputs, results: false, storage: false, events: true },
    });
    const refused = async (options: Parameters<StreamProcessor["replay"]>[0], code: string, field: string) =>
      assert.rejects(source.replay(options), { code, field });
    await refused({ into: "nowhere" }, "not_found", "into");
    await refused({ into: "source" }, "invalid_argument", "into");
    await refused({ into, from: timeOf(2), to: timeOf(1) }, "invalid_argument", "to");
    await refused(
      { into, from: timeOf(2), to: { source: "a".repeat(32), offset: 1 } },
      "invalid_argument",
      "to",
    );
    await refused({ into, from: new Date(Number.NaN) }, "invalid_argument", "from");
    await refused({ into, from: { source: "x", offset: 1 } }, "invalid_argument", "from.position.source");
    await assert.rejects(target.replay({ into: "source" }), { code: "failed_precondition", field: "source" });
    await system.client.streams.pause(into);
    await refused({ into }, "failed_precondition", "stream");
    await using gone = await createStreamProcessor("gone", system.client, plain);
    await system.client.streams.delete("gone");
    await assert.rejects(gone.replay({ into: "source" }), { code: "not_found", field: "stream" });
  });

  async function readOut(of: StreamProcessor, count: number): Promise<ReceivedMessage[]> {
    await until(async () => (await of.status()).conservation.out >= count, `${count} messages out`);
    const received: ReceivedMessage[] = [];
    for await (const message of of.subscribe({ from: "earliest" })) {
      if (received.push(message) === count) break;
    }
    return received;
  }

  async function accountsOf(stream: string): Promise<unknown> {
    const { natsUrl: url, keysDir = "" } = system.described;
    const user = { user: adminUser, seedFile: seedFile(keysDir, adminUser) };
    const broker = await connectBroker({ url, ...user, log: silentLogger, onClosed: () => undefined });
    try {
      const lines = await readLedger(broker, { tenant: "default", stream });
      return lines.map(({ stage, source: of, entry }) => [stage, of, entry]);
    } finally {
      await broker.connection.close();
    }
  }
});

import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { wireBatch } from "@millrace/envelope";
import { SegmentRange } from "@millrace/proto/batch";
import { AppendRequest, Sender } from "@millrace/proto/buffer";
import { createStreamProcessor, type ReceivedMessage, type StreamProcessor } from "@millrace/sdk";
import { buildBatch } from "@millrace/testkit";
import { filePlaces } from "../system/leaks/collect-places.js";
import { startTestSystem, type TestSystem } from "../system/local-system.js";
import { storedLines, until } from "../system/observe.js";
import { openRawRpc } from "../system/raw-rpc.js";

const plain = {
  enrichments: { embeddings: false, sentiment: false },
  outputs: {
    results: true,
    artifacts: false,
    search: false,
    events: false,
    storage: { format: "lines", rollAge: "200ms" },
  },
} as const;
const exempt = { privacy: { exempt: true } };
const long = "the quick brown fox jumps over the lazy dog ".repeat(2_000);

describe("an exempt stream", () => {
  let system: TestSystem;
  before(async () => {
    system = await startTestSystem({ exemptAllowed: true });
  });
  after(() => system.stop());

  it("lets pass as it is what another stream of the same system redacts", async () => {
    await using open = await createStreamProcessor("open", system.client, { ...plain, ...exempt });
    await using kept = await createStreamProcessor("filtered", system.client, plain);
    const texts = (who: string): string[] => [`mail ${who}@example.com`, `${long}${who}@example.com${long}`];
    for (const [to, who] of [[open, "olga"] as const, [kept, "karl"] as const]) {
      const more = { sourceId: `${who}@example.org`, attributes: { [`${who}@example.net`]: who } };
      await to.publish(texts(who).map((text) => ({ text, ...more })));
      await addLines(
        to,
        who,
        Array.from({ length: 3_000 }, (_, at) => `${at} ${who}@example.com ${at}`),
      );
    }
    const [passed, redacted] = [await readOut(open, 3_002), await readOut(kept, 3_002)];
    assert.deepEqual(
      passed
        .slice(0, 2)
        .map(({ content }) => content)
        .sort(),
      texts("olga").sort(),
    );
    const [first] = passed;
    assert.equal(first?.sourceId, "olga@example.org");
    assert.deepEqual(first?.attributes, { "olga@example.net": "olga" });
    assert.deepEqual(
      first?.passport.map(({ stage, decidedBy }) => [stage, stage === "buffer" ? decidedBy : ""]),
      [
        ["buffer", "exempt"],
        ["output", ""],
      ],
    );
    assert.ok(passed.every(({ passport }) => passport.some(({ decidedBy }) => decidedBy === "exempt")));
    assert.ok(redacted.every(({ passport }) => passport[0]?.stage === "privacy"));
    assert.ok(redacted.every(({ passport }) => passport.every(({ decidedBy }) => decidedBy !== "exempt")));
    assert.doesNotMatch(JSON.stringify(redacted), /karl@/);
    const stored = async (stream: string): Promise<string[]> => await storedLines(system, stream);
    await until(async () => (await stored("open")).length >= 3_002, "the exempt stream's stored lines");
    assert.ok((await stored("open")).every((line) => line.includes("olga@example.com")));
    await until(async () => (await stored("filtered")).length > 0, "the other stream's stored lines");
    assert.doesNotMatch((await stored("filtered")).join("\n"), /karl@/);
    const { conservation } = await open.status();
    assert.deepEqual([conservation.in, conservation.out, conservation.balanced], [3_002, 3_002, true]);
  });

  it("never enters the raw side, where the other one lies", async () => {
    const places = await filePlaces(system.described.stateDir);
    const raw = places.filter(({ name }) => /^(nats\/.*streams\/RAW\/|data\/raw\/)/.test(name));
    const clean = places.filter(({ name }) => name.startsWith("data/clean/"));
    const holds = (of: typeof places, text: string): boolean =>
      of.some(({ bytes }) => Buffer.from(bytes).includes(text));
    assert.deepEqual([holds(raw, "karl@"), holds(raw, "olga@")], [true, false]);
    assert.deepEqual([holds(clean, "karl@"), holds(clean, "olga@")], [false, true]);
  });

  it("is all that buffer takes from the clean side", async () => {
    await using kept = await createStreamProcessor("kept", system.client, plain);
    const open = buildBatch({ stream: "kept", texts: [long], source: "c".repeat(32) });
    const range = SegmentRange.create({
      node: "local",
      log: "clean/buffer-0",
      segment: 1,
      length: long.length,
    });
    const body = { $case: "range" as const, value: range };
    const batch = wireBatch(open, body);
    const request = AppendRequest.encode({ batch, sender: Sender.SENDER_INGESTION }).finish();
    const buffer = openRawRpc(`127.0.0.1:${system.described.ports.buffer}`);
    const { code, message } = await buffer.unary("/millrace.buffer.v1.BufferService/Append", request);
    buffer.close();
    assert.equal(code, "FAILED_PRECONDITION", message);
    assert.equal((await kept.status()).conservation.in, 0);
  });

  it("goes through inference, and its artifacts are found by the names it was given", async () => {
    await using processor = await createStreamProcessor("judged", system.client, exempt);
    const artifact = await processor.getOrCreateArtifact("customer maria@example.com");
    assert.equal(artifact.sourceId, "customer maria@example.com");
    const added = await artifact.addText("This is wonderful, thank you, maria@example.com!", {
      processImmediately: true,
    });
    assert.equal(added.content?.message.content, "This is wonderful, thank you, maria@example.com!");
    assert.equal(added.content?.message.sentiment?.label, "positive");
    // More than a body on the bus holds: the pieces for inference are cut from a segment of ingestion.
    const lines = Array.from({ length: 150 }, (_, at) => `line ${at} of otto@example.com ${"x".repeat(600)}`);
    await addLines(processor, "otto", lines);
    const received = await readOut(processor, 151);
    const contents = received.map(({ content }) => String(content));
    assert.deepEqual(contents.filter((content) => content.startsWith("line")).sort(), lines.sort());
    assert.ok(received.every(({ sentiment }) => sentiment !== undefined));
  });

  it("may stop being so, and become so again, while messages travel", async () => {
    const text = "mail nina@example.com";
    await using processor = await createStreamProcessor("switched", system.client, { ...plain, ...exempt });
    const heard: boolean[] = [];
    processor.onEvent("privacy_exempted", ({ payload }) => void heard.push(payload.exempt));
    let phase = "exempt";
    let sent = 0;
    const publishing = (async () => {
      while (phase !== "done") {
        const sourceId = phase;
        await processor.publish(Array.from({ length: 20 }, () => ({ text, sourceId })));
        sent += 20;
      }
    })();
    const path = await addLines(processor, "nora", []);
    const line = (at: number, of: string): string => `${of} ${at} nora@example.com ${"x".repeat(1_000)}\n`;
    const lines = (of: string): Promise<void> =>
      writeFile(
        join(path, `lines-${of}.jsonl`),
        Array.from({ length: 500 }, (_, at) => line(at, of)).join(""),
      );
    await lines("exempt");
    await until(() => sent > 200, "messages that pass");
    await createStreamProcessor("switched", system.client, { ...plain, update: true }).then((it) =>
      it.close(),
    );
    phase = "filtered";
    await lines("filtered");
    const from = sent;
    await until(() => sent > from + 200, "messages that are filtered");
    // What is on its way while the stream becomes exempt again may pass: it has a name of its own.
    phase = "between";
    const last = sent;
    await until(() => sent >= last + 40, "the last of those that are filtered");
    await createStreamProcessor("switched", system.client, { ...plain, ...exempt, update: true }).then((it) =>
      it.close(),
    );
    phase = "again";
    await until(async () => (await processor.status()).conservation.in >= sent + 1_000, "all lines");
    phase = "done";
    await publishing;
    const received = await readOut(processor, sent + 1_000);
    const contentsOf = (of: string): Set<string> =>
      new Set(received.filter(({ sourceId }) => sourceId === of).map(({ content }) => String(content)));
    // What is sent after the answer is filtered, without exception.
    assert.deepEqual([...contentsOf("filtered")], ["mail [EMAIL]"]);
    assert.ok(contentsOf("exempt").has(text));
    assert.ok(received.some(({ content }) => String(content).startsWith("exempt 0 nora@example.com")));
    const filed = received.filter(({ content }) => String(content).startsWith("filtered"));
    assert.equal(filed.length, 500);
    assert.ok(filed.every(({ content }) => String(content).includes("[EMAIL]")));
    await until(() => heard.length === 2, "both events");
    assert.deepEqual(heard, [false, true]);
    const { conservation } = await processor.status();
    assert.deepEqual([conservation.in, conservation.balanced], [sent + 1_000, true]);
  });

  /** A directory of its own with the lines in a file, as a source of the stream. */
  async function addLines(to: StreamProcessor, who: string, lines: readonly string[]): Promise<string> {
    const path = join(system.inputDir, `input-${who}`);
    await mkdir(path);
    if (lines.length > 0) await writeFile(join(path, "a.jsonl"), `${lines.join("\n")}\n`);
    await to.addFileSource({ path, pattern: "*.jsonl", pollInterval: "50ms" });
    return path;
  }

  async function readOut(of: StreamProcessor, count: number): Promise<ReceivedMessage[]> {
    await until(async () => (await of.status()).conservation.out >= count, `${count} messages out`);
    const received: ReceivedMessage[] = [];
    for await (const message of of.subscribe({ from: "earliest" })) {
      if (received.push(message) === count) break;
    }
    return received;
  }
});

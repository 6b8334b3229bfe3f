import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { CodedError } from "@millrace/errors";
import {
  adminUser,
  type Broker,
  connectBroker,
  countDead,
  createDeadLetterWriter,
  createLedger,
  createPublisher,
  seedFile,
} from "@millrace/messaging";
import { Batch, Framing } from "@millrace/proto/batch";
import { AppendRequest, Sender } from "@millrace/proto/buffer";
import { silentLogger } from "@millrace/runtime";
import { testRuntime } from "@millrace/runtime/testing";
import { TapRequest } from "@millrace/proto/tap";
import {
  createStreamProcessor,
  type DeadLetter,
  type ReceivedMessage,
  type StreamProcessor,
} from "@millrace/sdk";
import { buildBatch, inlineBatch } from "@millrace/testkit";
import { startTestSystem, type TestSystem } from "../system/local-system.js";
import { until } from "../system/observe.js";
import { openRawRpc } from "../system/raw-rpc.js";
import { type ProgramEnd, runToEnd } from "../system/run-program.js";

const millrace = fileURLToPath(new URL("../../../cli/bin/millrace.mjs", import.meta.url));
const canary = "planted.person@canary.example";
const storage = (format: "lines" | "records") => ({ storage: { format, rollAge: "200ms" }, search: false });

describe("dead letters", () => {
  let system: TestSystem;
  let admin: Broker;
  let stream: StreamProcessor;

  const letters = async (of = "lines"): Promise<DeadLetter[]> => {
    const found: DeadLetter[] = [];
    for await (const letter of system.client.deadLetters.list({ stream: of })) found.push(letter);
    return found;
  };
  const connectAs = (user: string): Promise<Broker> =>
    connectBroker({
      url: system.described.natsUrl,
      user,
      seedFile: seedFile(system.described.keysDir ?? "", user),
      log: silentLogger,
      onClosed: () => undefined,
    });
  const stored = async (): Promise<string> => {
    const folder = join(system.outputDir, "default", "lines");
    const names = (await readdir(folder)).filter((name) => name.endsWith(".jsonl"));
    return (await Promise.all(names.map((name) => readFile(join(folder, name), "utf8")))).join("");
  };
  const open = (format: "lines" | "records", update = false): Promise<StreamProcessor> =>
    createStreamProcessor("lines", system.client, {
      processingMode: "batch",
      enrichments: { embeddings: false, sentiment: false },
      outputs: storage(format),
      update,
    });

  const openWide = (name: string, sentiment = false): Promise<StreamProcessor> =>
    createStreamProcessor(name, system.client, {
      processingMode: "batch",
      enrichments: { embeddings: false, sentiment },
      outputs: { search: false },
    });

  const dlq = (...args: string[]): Promise<ProgramEnd> =>
    runToEnd({
      args: [millrace, "dlq", ...args],
      env: { MILLRACE_ADDRESS: system.client.address },
      timeoutMs: 30_000,
    });
  /** Gateway refuses it for such a stream, so it comes in past it. */
  const appendLineFeed = async (): Promise<void> => {
    const texts = [`first line of ${canary}\nsecond line`];
    const of = { stream: "lines", framing: Framing.FRAMING_PACKED, source: "f".repeat(32), texts };
    const request = { batch: inlineBatch(buildBatch(of)), sender: Sender.SENDER_GATEWAY };
    const buffer = openRawRpc(`127.0.0.1:${system.described.ports.buffer}`);
    const bytes = AppendRequest.encode(AppendRequest.fromPartial(request)).finish();
    assert.equal((await buffer.unary("/millrace.buffer.v1.BufferService/Append", bytes)).code, "OK");
    buffer.close();
  };

  before(async () => {
    system = await startTestSystem();
    admin = await connectAs(adminUser);
    stream = await open("lines");
  });
  after(async () => {
    await stream.close();
    await admin.connection.close();
    await system.stop();
  });

  it("one of the clean side is listed and shown, and stays while its cause does", async () => {
    await appendLineFeed();
    await until(async () => (await letters()).length === 1, "the dead letter");
    const [letter] = await letters();
    assert.deepEqual([letter?.stage, letter?.code, letter?.refusal], ["store", "invalid_argument", ""]);
    const shown = await system.client.deadLetters.get(letter?.id ?? "");
    assert.equal(shown.message?.kind === "text" && shown.message.text, "first line of [EMAIL]\nsecond line");
    await assert.rejects(system.client.deadLetters.redrive(letter?.id ?? ""), /line feed/);
    const listed = await dlq("ls", "lines");
    assert.match(listed.stdout, /^clean-\d+ .* lines {2}store {2}text of \d+ B {2}.*: store lines: /);
    const told = await dlq("show", letter?.id ?? "");
    assert.match(told.stdout, /first line of \[EMAIL\]/);
    const left = await dlq("redrive", "--stream", "lines");
    assert.deepEqual([left.code, left.stdout], [0, "Redriven: 0. Left: 1.\n"], left.stderr);
    assert.match(left.stderr, /^clean-\d+ stays: invalid_argument: store lines: /m);
    assert.equal((await dlq("ls", "--nope")).code, 2);
    const { conservation } = await stream.status();
    assert.deepEqual([conservation.out, conservation.dead, conservation.balanced], [0, 1, true]);
  });

  it("once the cause is mended, it is stored once, and the sums hold", async () => {
    await stream.close();
    stream = await open("records", true);
    await stream.publish("in between");
    await until(async () => (await stream.status()).conservation.out === 1, "the message in between");
    const done = await system.client.deadLetters.redrive({ stream: "lines", stage: "store" });
    assert.deepEqual(done, { redriven: 1, failures: [] });
    assert.deepEqual(await letters(), []);
    await until(async () => (await stored()).includes("second line"), "the file");
    assert.equal((await stored()).split("second line").length, 2);
    await until(async () => (await stream.status()).conservation.out === 2, "both are out");
    const { conservation } = await stream.status();
    assert.deepEqual([conservation.dead, conservation.balanced], [0, true]);
  });

  it("one of the raw side is shown through the filter, and passes it when it is redriven", async () => {
    const source = "a".repeat(32);
    const [privacy, buffer] = await Promise.all([connectAs("privacy"), connectAs("buffer")]);
    const raw = buildBatch({ texts: [`raw of ${canary}`], stream: "lines", source });
    const accepted = await createLedger(buffer, "buffer", testRuntime());
    accepted.settle(raw.header, { intervals: [{ from: 0, to: 1 }], done: 1 });
    await accepted.flush();
    const publisher = createPublisher(privacy);
    const writer = { publisher, stage: "privacy", side: "raw", now: () => 1_000 } as const;
    await createDeadLetterWriter(writer).write(raw, [0], new CodedError("internal", "the filter broke"), 3);
    const dead = await createLedger(privacy, "privacy", testRuntime());
    const counted = countDead(dead)(raw, [0]);
    await dead.flush();
    await counted;
    await Promise.all([privacy.connection.close(), buffer.connection.close()]);
    const [letter] = await letters();
    assert.match(letter?.id ?? "", /^raw-/);
    assert.equal((await stream.status()).conservation.dead, 1);
    const shown = await system.client.deadLetters.get(letter?.id ?? "");
    assert.equal(shown.message?.kind === "text" && shown.message.text, "raw of [EMAIL]");
    await system.client.deadLetters.redrive(letter?.id ?? "");
    await until(async () => (await stored()).includes("raw of"), "the file");
    await until(async () => (await stream.status()).conservation.out === 3, "all three are out");
    const { conservation } = await stream.status();
    assert.deepEqual([conservation.in, conservation.dead, conservation.balanced], [3, 0, true]);
    assert.equal((await stored()).split("raw of [EMAIL]").length, 2);
    await assert.rejects(system.client.deadLetters.redrive(letter?.id ?? ""), { code: "not_found" });
    assert.deepEqual(await letters(), []);
  });

  it("one of every later stage reaches what it had not reached once, and nothing twice", async () => {
    await using every = await createStreamProcessor("every", system.client, {
      enrichments: { embeddings: true, sentiment: true },
      outputs: { results: true, search: true, artifacts: false, events: false },
    });
    const { deadLetters } = system.client;
    const { streams } = admin.manager;
    const bus = ["ENRICHED", "EMBEDDINGS", "RESULT"] as const;
    /** How many messages each took ever, if it has them still or not. */
    const taken = (): Promise<number[]> =>
      Promise.all(bus.map(async (name) => (await streams.info(name)).state.last_seq));
    const sums = async (): Promise<unknown[]> => {
      const { conservation } = await every.status();
      return [conservation.in, conservation.dead, conservation.inFlight, conservation.balanced];
    };
    const textOf = (stage: string): string => `The ${stage} of a fine harvest, says ${canary}`;
    const begun = await taken();
    for (const [at, stage] of (["inference", "search", "results"] as const).entries()) {
      const { config } = await streams.info(bus[at] as string);
      // What the stage writes to refuses whatever it sends.
      await streams.update(config.name, { ...config, max_msg_size: 1 });
      const { position } = await every.publish({ text: textOf(stage), sourceId: stage });
      await until(async () => (await letters("every")).length === 1, `the letter of ${stage}`);
      const [letter] = await letters("every");
      assert.deepEqual([letter?.stage, letter?.code, letter?.refusal], [stage, "data_loss", ""]);
      assert.match(letter?.reason ?? "", /^publish to \w+: too large/);
      const id = letter?.id ?? "";
      const { message } = await deadLetters.get(id);
      assert.equal(message?.kind === "text" && message.text, textOf(stage).replace(canary, "[EMAIL]"));
      await until(async () => (await sums())[2] === 0, "what else takes it");
      assert.deepEqual(await sums(), [at + 1, 1, 0, true]);
      await assert.rejects(deadLetters.redrive(id), { code: "data_loss" });
      assert.deepEqual(await sums(), [at + 1, 1, 0, true]);
      await streams.update(config.name, config);
      assert.deepEqual(await deadLetters.redrive({ stream: "every", stage }), { redriven: 1, failures: [] });
      await assert.rejects(deadLetters.redrive(id), { code: "not_found" });
      await until(async () => (await sums())[2] === 0, "its way to the end");
      assert.deepEqual(await sums(), [at + 1, 0, 0, true]);
      const after = { stream: "every", position };
      const { hits } = await every.search(textOf(stage), { maxResults: 9, after, wait: "20s" });
      assert.equal(hits.length, at + 1);
      assert.ok(hits.some(({ sourceId }) => sourceId === stage));
      assert.deepEqual(
        await taken(),
        begun.map((seq) => seq + at + 1),
      );
    }
    const received: ReceivedMessage[] = [];
    for await (const message of every.subscribe({ from: "earliest" }))
      if (received.push(message) === 3) break;
    assert.deepEqual(
      received.map(({ sourceId, findings, sentiment }) => [
        sourceId,
        findings[0]?.type,
        sentiment !== undefined,
      ]),
      ["inference", "search", "results"].map((stage) => [stage, "EMAIL", true]),
    );
  });

  it("a tap shows what passes a stage, without what the filter took out", async () => {
    for (const stage of ["privacy", "results"] as const) {
      const stop = new AbortController();
      const texts: string[] = [];
      for await (const { messages } of system.client.tap("lines", { stage, signal: stop.signal })) {
        if (messages.length === 0) await stream.publish(`tapped at ${stage} by ${canary}`);
        // What was sent for the stage before may still be on its way to this one.
        for (const message of messages) {
          const text = message.kind === "text" ? message.text : "";
          if (!text.startsWith("tapped at") || text.includes(stage)) texts.push(text);
        }
        if (texts.length > 0) stop.abort();
      }
      assert.deepEqual(texts, [`tapped at ${stage} by [EMAIL]`]);
    }
    const raw = { stream: "lines", stage: "raw" };
    const rpc = openRawRpc(system.client.address);
    const { code } = await rpc.unary("/millrace.tap.v1.TapService/Tap", TapRequest.encode(raw).finish());
    rpc.close();
    assert.equal(code, "INVALID_ARGUMENT");
  });

  it("a tap shows bodies that lie in segments at each stage, and `millrace tap` does", async () => {
    await using wide = await openWide("wide", true);
    const text = `${"wide ".repeat(20_000)}${canary}`;
    for (const stage of ["privacy", "inference", "results"] as const) {
      const stop = new AbortController();
      let shown: string | undefined;
      for await (const tapped of system.client.tap("wide", { stage, signal: stop.signal })) {
        const { messages, dropped, unseen, gone } = tapped;
        assert.deepEqual([dropped, unseen, gone], [0, 0, 0]);
        const [message] = messages;
        if (message === undefined) await wide.publish(text);
        else shown = message.kind === "text" ? message.text : "";
        if (shown !== undefined) stop.abort();
      }
      assert.equal(shown, `${"wide ".repeat(20_000)}[EMAIL]`);
    }
    const tap = spawn(process.execPath, [millrace, "tap", "wide", "--stage", "inference"], {
      env: { ...process.env, MILLRACE_ADDRESS: system.client.address },
      stdio: ["ignore", "pipe", "inherit"],
    });
    let printed = "";
    tap.stdout.setEncoding("utf8").on("data", (some: string) => (printed += some));
    try {
      await until(async () => {
        await wide.publish(text);
        return printed.includes("wide [EMAIL]");
      }, "what the command shows");
      assert.ok(!printed.includes(canary));
    } finally {
      tap.kill("SIGKILL");
    }
  });

  it("a tap tells of bodies that are gone, and shows none", async () => {
    await using _wide = await openWide("recycled");
    const output = await connectAs("output");
    const value = { node: "local", log: "clean/privacy-0", segment: 999, offset: 64, length: 9, crc32: 1 };
    const inline = inlineBatch(buildBatch({ texts: ["gone", "away."], stream: "recycled" }));
    const batch = Batch.fromPartial({ ...inline, body: { $case: "range", value } });
    const stop = new AbortController();
    const seen: number[] = [];
    for await (const { messages, gone } of system.client.tap("recycled", { signal: stop.signal })) {
      seen.push(messages.length, gone);
      if (gone > 0) stop.abort();
      else output.connection.publish("result.default.recycled", Batch.encode(batch).finish());
    }
    await output.connection.close();
    assert.deepEqual(seen, [0, 0, 0, 2]);
  });

  it("what a slow tap misses is counted, and nothing waits for it", async () => {
    await using slow = await openWide("slow");
    const text = "slow ".repeat(40_000);
    let missed = 0;
    // A reader's own buffers hold some: how many messages, goes by how fast they come.
    for (let sent = 80, out = 0; missed === 0 && sent <= 640; sent *= 2) {
      const stop = new AbortController();
      let told = 0;
      for await (const tapped of system.client.tap("slow", { stage: "privacy", signal: stop.signal })) {
        const { messages, dropped, unseen, gone } = tapped;
        told += messages.length + dropped + unseen + gone;
        missed += dropped;
        if (told >= sent) stop.abort();
        if (told > 0) continue;
        await Promise.all(Array.from({ length: sent }, () => slow.publish(text)));
        out += sent;
        await until(async () => (await slow.status()).conservation.out === out, "all are out");
      }
    }
    assert.ok(missed > 0);
  });

  it("what was planted is in no answer, file or log, and bad requests are refused by name", async () => {
    assert.ok(!(await system.logText()).includes(canary));
    assert.ok(!(await stored()).includes(canary));
    const { deadLetters } = system.client;
    await assert.rejects(deadLetters.get("raw-x"), { code: "invalid_argument", field: "id" });
    await assert.rejects(deadLetters.discard({ stream: "none" }), { code: "not_found", field: "stream" });
  });
});

import assert from "node:assert/strict";
import { mkdir, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { after, before, describe, it } from "node:test";
import { findingTypes, limits } from "@millrace/envelope";
import { Framing } from "@millrace/proto/batch";
import { AppendRequest, Sender } from "@millrace/proto/buffer";
import { PublishRequest, PublishStreamRequest } from "@millrace/proto/message";
import { createStreamProcessor, type SourceHandle, type StreamProcessor } from "@millrace/sdk";
import { buildBatch, inlineBatch, type OtlpReceiver, startOtlpReceiver } from "@millrace/testkit";
import { createCanaries, plantApart } from "../system/leaks/canaries.js";
import { filePlaces, httpPlaces, storedPlaces } from "../system/leaks/collect-places.js";
import { describeLeaks, findLeaks, type Place } from "../system/leaks/find-leaks.js";
import { startTestSystem, type TestSystem } from "../system/local-system.js";
import { until } from "../system/observe.js";
import { openRawRpc, type RawRpc } from "../system/raw-rpc.js";

const publishService = "/millrace.message.v1.PublishService";
const stages = ["privacy", "inference", "output", "semantic-search"];
const rawStreams = new Set(["RAW", "DLQ_RAW"]);
/** Raw by right: what the broker stores of the raw side, raw segments, and the files that are read. */
const rawFiles = /^(nats\/.*streams\/(RAW|DLQ_RAW)\/|data\/raw\/.*\.seg$|input(\/|$))/;

const isRawFile = ({ name }: Place): boolean => rawFiles.test(name);
const words = (count: number): string => "the quick brown fox jumps over the lazy dog ".repeat(count / 9);

describe("nothing raw passes the filter", () => {
  const canaries = createCanaries();
  const rawPlaces: Place[] = [];
  const cleanPlaces: Place[] = [];
  let system: TestSystem;
  let otlp: OtlpReceiver;
  let rpc: RawRpc;
  let everything: StreamProcessor;
  let lines: StreamProcessor;
  let source: SourceHandle;

  const signal = (names: readonly string[], what: NodeJS.Signals): void => {
    for (const { name, pid } of system.programs()) {
      if (names.includes(name) && pid !== undefined) process.kill(pid, what);
    }
  };
  /** What the broker stores now, each to its side. */
  const collectStored = async (): Promise<Map<string, Place[]>> => {
    const stored = await storedPlaces(system.described);
    for (const [stream, places] of stored) (rawStreams.has(stream) ? rawPlaces : cleanPlaces).push(...places);
    return stored;
  };
  const collectFiles = async (): Promise<void> => {
    for (const place of await filePlaces(system.described.stateDir)) {
      (isRawFile(place) ? rawPlaces : cleanPlaces).push(place);
    }
  };

  before(async () => {
    otlp = await startOtlpReceiver();
    system = await startTestSystem({ env: { ...otlp.env } });
    rpc = openRawRpc(`127.0.0.1:${system.described.ports.grpc}`);
    everything = await createStreamProcessor("everything", system.client, {
      outputs: { storage: { format: "records", rollAge: "200ms" } },
    });
    lines = await createStreamProcessor("lines", system.client, {
      processingMode: "batch",
      outputs: { storage: { format: "lines", rollAge: "200ms" } },
    });
  });
  after(async () => {
    // One that stands still could not be stopped.
    signal(stages, "SIGCONT");
    rpc.close();
    await everything.close();
    await lines.close();
    await system.stop();
    await otlp.stop();
  });

  it("while privacy stands still, all that is planted lies on the raw side", async () => {
    signal(["privacy"], "SIGSTOP");
    await publishEverywhere(everything);
    await publishByKeyAndEpoch();
    await plantFiles();
    await appendLineFeed();
    await publishToDeleted();
    await until(async () => (await lines.status()).conservation.in >= 5, "the lines and the one too long");
    await collectStored();
    await collectFiles();
    const found = new Set(findLeaks(canaries.all, rawPlaces).map(({ canary }) => canary));
    const unseen = canaries.all.filter((canary) => !found.has(canary)).map(({ place }) => place);
    assert.deepEqual([...new Set(unseen)].sort(), ["epoch", "idempotency key"], "the search is not blind");
  });

  it("each stage behind privacy holds it only without what was planted", async () => {
    signal(["inference", "output", "semantic-search"], "SIGSTOP");
    signal(["privacy"], "SIGCONT");
    await until(async () => (await collectStored()).get("RAW")?.length === 0, "an empty RAW");
    signal(["inference"], "SIGCONT");
    await until(async () => (await collectStored()).get("CLEAN")?.length === 0, "an empty CLEAN");
    await collectFiles();
    signal(["output", "semantic-search"], "SIGCONT");
    for (const stream of ["CLEAN", "ENRICHED"]) {
      assert.ok(
        cleanPlaces.some(({ name }) => name.startsWith(`${stream} `)),
        `${stream} was looked at`,
      );
    }
    assert.deepEqual(describeLeaks(findLeaks(canaries.all, cleanPlaces)).slice(0, 20), []);
  });

  it("no answer to a subscriber, watcher, searcher or owner of an artifact shows it", async () => {
    await until(async () => (await everything.status()).conservation.inFlight === 0, "all of it done");
    await until(async () => (await lines.status()).conservation.inFlight === 0, "all lines done");
    const { conservation } = await lines.status();
    assert.equal(conservation.dead, 2, "the line too long and the one with a line feed");
    const isTold = async () => (await source.status()).lastError?.includes("[EMAIL]") === true;
    await until(isTold, "the source's error, once privacy has seen it");
    const answers: unknown[] = [conservation, await everything.status(), await source.status()];
    for (const processor of [everything, lines]) {
      const { out } = (await processor.status()).conservation;
      let count = 0;
      for await (const message of processor.subscribe({ from: "earliest" })) {
        answers.push(message, Buffer.from(message.content).toString());
        if (++count === out) break;
      }
    }
    for (const sourceId of plantApart(canaries, "artifact's source id")) {
      const artifact = await everything.getOrCreateArtifact(sourceId);
      const added = await artifact.addText(canaries.plantEach("added text"), { processImmediately: true });
      answers.push(artifact, added, await artifact.getContent(added.id));
      assert.match(artifact.sourceId, /^p-[0-9a-f]{32}$/);
    }
    for (const type of findingTypes) {
      const query = `who wrote ${canaries.plant(type, "search query")} about the fox`;
      answers.push(await system.client.search(query, { maxResults: 100 }));
    }
    answers.push(await system.client.search("the fox", { maxResults: 1_000 }));
    const [place] = [{ name: "answers", bytes: Buffer.from(JSON.stringify(answers)) }];
    assert.ok(place.bytes.includes("[EMAIL]") && place.bytes.includes("[URL_CREDENTIALS]"));
    assert.deepEqual(describeLeaks(findLeaks(canaries.all, [place])), []);
  });

  it("no refusal repeats it", async () => {
    const answers = await sendRefused();
    assert.ok(answers.length > 40);
    const refusals = answers.map((answer) => ({
      name: "refusal",
      bytes: Buffer.from(JSON.stringify(answer)),
    }));
    assert.deepEqual(describeLeaks(findLeaks(canaries.all, refusals)), []);
  });

  it("no log, span, metric, event, dead letter, file or name of a file holds it in the end", async () => {
    await until(async () => (await everything.status()).conservation.inFlight === 0, "all of it done");
    const stored = await collectStored();
    for (const stream of [
      "RESULT",
      "EVENTS",
      "CONTENT",
      "EMBEDDINGS",
      "DLQ",
      "DLQ_RAW",
      "KV_LEDGER",
      "KV_LEASES",
      "KV_REPORTS",
    ]) {
      assert.notEqual(stored.get(stream)?.length ?? 0, 0, `${stream} is looked at`);
    }
    const names = otlp.spans().map(({ name }) => name);
    for (const name of [
      "process privacy-high",
      "process store-high",
      "send embedding",
      "receive work.privacy.clean",
    ]) {
      assert.ok(names.includes(name), `${name} is a span`);
    }
    cleanPlaces.push({ name: "spans", bytes: Buffer.from(otlp.text()) });
    cleanPlaces.push({ name: "all logs", bytes: Buffer.from(await system.logText()) });
    cleanPlaces.push(...(await httpPlaces(system.described)));
    await collectFiles();
    const files = cleanPlaces.map(({ name }) => name);
    for (const kind of [
      /^data\/output\/.*\.jsonl$/,
      /\.manifest\.json$/,
      /^data\/clean\/.*\.seg$/,
      /accepted-0\.log$/,
      /^logs\/privacy/,
    ]) {
      assert.ok(
        files.some((name) => kind.test(name)),
        `${kind} is looked at`,
      );
    }
    assert.deepEqual([...new Set(describeLeaks(findLeaks(canaries.all, cleanPlaces)))].slice(0, 20), []);
  });

  it("and one that did would be found, whichever it is", async () => {
    const log = await system.logText();
    for (const canary of canaries.all) {
      const line = JSON.stringify({ level: "info", msg: `seen ${canary.text}` });
      const [leak] = findLeaks([canary], [{ name: "log", bytes: Buffer.from(`${log}\n${line}\n`) }]);
      assert.equal(leak?.canary, canary);
    }
  });

  /** Texts, names and bytes of every kind by PublishStream. */
  async function publishEverywhere(to: StreamProcessor): Promise<void> {
    const each = (place: string): string => canaries.plantEach(place);
    const big = [
      each("start of a large text"),
      words(9_000),
      each("its middle"),
      words(9_000),
      each("its end"),
    ];
    const bytes = Buffer.concat([
      Buffer.from([0, 255, 10]),
      Buffer.from(each("data")),
      Buffer.from([0, 254]),
    ]);
    await to.publish([
      ...plantApart(canaries, "start of a text").map((text) => ({ text: `${text} said the fox` })),
      ...plantApart(canaries, "middle of a text").map((text) => ({
        text: `the fox said ${text} to the dog`,
      })),
      ...plantApart(canaries, "end of a text").map((text) => ({ text: `so said the fox ${text}` })),
      ...plantApart(canaries, "whole text").map((text) => ({ text })),
      { text: each("one text with all") },
      {
        text: JSON.stringify({ a: plantApart(canaries, "JSON string"), fox: { deep: each("deep in JSON") } }),
      },
      { text: JSON.stringify(JSON.stringify({ inner: plantApart(canaries, "JSON in JSON") })) },
      {
        text: `{"number":${canaries.plant("CARD", "number")},"more":[${canaries.plant("CARD", "list")}]}`,
      },
      { text: big.join(" ") },
      { data: bytes },
      { data: Buffer.concat([Buffer.alloc(100_000, 1), Buffer.from(each("large data"))]) },
      ...plantApart(canaries, "source id").map((sourceId) => ({ text: "the fox", sourceId })),
      { text: "the fox", sourceId: `owner ${canaries.plant("EMAIL", "part of a source id")}` },
      ...plantApart(canaries, "attribute's value").map((owner) => ({
        text: "the fox",
        attributes: { owner },
      })),
      ...plantApart(canaries, "attribute's name").map((name) => ({
        text: "the fox",
        attributes: { [name]: "fox" },
      })),
    ]);
  }

  /** What only takes part in ids: not even the raw side keeps it. */
  async function publishByKeyAndEpoch(): Promise<void> {
    for (const idempotencyKey of plantApart(canaries, "idempotency key")) {
      await everything.publish({ text: "the fox", idempotencyKey });
    }
    const epoch = `epoch-${canaries.plant("CARD", "epoch")}`;
    const opening = { $case: "open" as const, value: { stream: "everything", epoch } };
    const text = { content: { $case: "text" as const, value: "the fox" } };
    const messages = { $case: "messages" as const, value: { firstSequence: 0, messages: [text] } };
    const requests = [opening, messages].map((kind) =>
      PublishStreamRequest.encode(PublishStreamRequest.fromPartial({ kind })).finish(),
    );
    const { code, message } = await rpc.duplex(`${publishService}/PublishStream`, requests);
    assert.equal(code, "OK", message);
  }

  /** Files named after people, one line too long for a message, and an entry that can't be read. */
  async function plantFiles(): Promise<void> {
    const dir = join(system.inputDir, "input");
    await mkdir(dir);
    // One holds slashes: directories are called so then.
    for (const [at, name] of plantApart(canaries, "file's name").entries()) {
      const line = at === 0 ? canaries.plantEach("file's line") : `the fox ${at}`;
      const path = join(dir, `${name}.jsonl`);
      await mkdir(dirname(path), { recursive: true });
      await writeFile(path, `${line}\n`);
    }
    const long = `${canaries.plantEach("line too long")}${"x".repeat(limits.messageBytesMax)}`;
    await writeFile(join(dir, "long.jsonl"), `${long}\nthe fox behind it\n`);
    const unreadable = `${canaries.plant("EMAIL", "name of what can't be read")}.jsonl`;
    await symlink("nowhere", join(dir, unreadable));
    source = await lines.addFileSource({ path: dir, pattern: "**/*.jsonl", pollInterval: "50ms" });
    await until(async () => (await source.status()).lastError !== undefined, "the source's error");
    cleanPlaces.push({ name: "source's status", bytes: Buffer.from(JSON.stringify(await source.status())) });
  }

  /** Gateway refuses a line feed where lines are stored; output must withstand one that came otherwise. */
  async function appendLineFeed(): Promise<void> {
    const text = `the fox\n${canaries.plantEach("text with a line feed")}`;
    const of = { stream: "lines", framing: Framing.FRAMING_PACKED, source: "f".repeat(32) };
    const batch = inlineBatch(buildBatch({ ...of, texts: [text] }));
    const buffer = openRawRpc(`127.0.0.1:${system.described.ports.buffer}`);
    const request = AppendRequest.encode({ batch, sender: Sender.SENDER_GATEWAY }).finish();
    const { code, message } = await buffer.unary("/millrace.buffer.v1.BufferService/Append", request);
    buffer.close();
    assert.equal(code, "OK", message);
  }

  async function publishToDeleted(): Promise<void> {
    const gone = await createStreamProcessor("gone", system.client, {});
    await gone.publish({ text: canaries.plantEach("text of a deleted stream") });
    await gone.close();
    await system.client.streams.delete("gone");
  }

  /** Requests that are refused for a place that holds a canary. */
  async function sendRefused(): Promise<unknown[]> {
    const answers: unknown[] = [];
    const publish = async (fields: Parameters<typeof PublishRequest.fromPartial>[0]): Promise<void> => {
      const text = { $case: "text" as const, value: "the fox" };
      const request = PublishRequest.fromPartial({ stream: "everything", content: text, ...fields });
      const end = await rpc.unary(`${publishService}/Publish`, PublishRequest.encode(request).finish());
      assert.notEqual(end.code, "OK");
      answers.push(end);
    };
    const apart = (place: string): string[] => plantApart(canaries, `${place} of a refused request`);
    for (const stream of apart("stream")) await publish({ stream });
    for (const text of apart("source id")) await publish({ sourceId: `${text}\n` });
    for (const text of apart("key")) await publish({ idempotencyKey: text.padEnd(200, "x") });
    for (const text of apart("attribute's name"))
      await publish({ attributes: { [text.padEnd(200, "x")]: "" } });
    for (const text of apart("attribute's value"))
      await publish({ attributes: { a: text.padEnd(9_000, "x") } });
    for (const text of apart("text"))
      await publish({ content: { $case: "text", value: text.repeat(100_000) } });
    const image = Buffer.from(canaries.plantEach("image"));
    await publish({ content: { $case: "image", value: image } });
    for (const text of apart("malformed request")) {
      const field = Buffer.from([0x12, 0xff, 0x01]);
      answers.push(await rpc.unary(`${publishService}/Publish`, Buffer.concat([field, Buffer.from(text)])));
    }
    const told = async (call: Promise<unknown>): Promise<void> => {
      answers.push(await call.then(() => assert.fail("it was taken"), String));
    };
    const { client } = system;
    for (const text of apart("query")) await told(client.search(text.repeat(2_000)));
    for (const text of apart("artifact")) await told(client.search("fox", { artifacts: [text] }));
    for (const text of apart("resume token")) {
      const reading = everything.subscribe({ resumeToken: text });
      await told(reading[Symbol.asyncIterator]().next());
    }
    return answers;
  }
});

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdir, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { limits } from "@millrace/envelope";
import {
  type Priority,
  PublishRequest,
  PublishStreamRequest,
  PublishStreamResponse,
} from "@millrace/proto/message";
import { AddSourceRequest } from "@millrace/proto/source";
import { CreateStreamRequest } from "@millrace/proto/stream";
import { connect, createStreamProcessor, type StreamProcessor } from "@millrace/sdk";
import { startTestSystem, type TestSystem } from "../system/local-system.js";
import { storedLines, until } from "../system/observe.js";
import { openRawRpc, type RawRpc, type RpcEnd, sendFrame } from "../system/raw-rpc.js";
import { refused, rejects } from "../system/refusals.js";

const publishPath = "/millrace.message.v1.PublishService/Publish";
const publishStreamPath = "/millrace.message.v1.PublishService/PublishStream";
const noModels = { enrichments: { embeddings: false, sentiment: false } } as const;
const onlyResults = { results: true, artifacts: false, search: false, events: false } as const;

const malformed: readonly (readonly [name: string, bytes: Buffer])[] = [
  ["a tag of no wire type", Buffer.from([0x0f])],
  ["a field cut off", Buffer.from([0x0a, 0x05, 0x61])],
  ["a field of 2 GiB in 3 bytes", Buffer.from([0x12, 0xff, 0xff, 0xff, 0xff, 0x07, 0x61, 0x62, 0x63])],
  ["a varint without end", Buffer.alloc(12, 0xff)],
  ["a text that is no UTF-8", Buffer.from([0x0a, 0x01, 0x73, 0x12, 0x03, 0x61, 0xff, 0xfe])],
];

describe("bad input is refused by name", () => {
  let system: TestSystem;
  let gateway: RawRpc;
  let buffer: RawRpc;
  let processor: StreamProcessor;
  let pids: readonly (number | undefined)[];
  const pidsNow = () => system.programs().map(({ pid }) => pid);
  before(async () => {
    system = await startTestSystem();
    gateway = openRawRpc(`127.0.0.1:${system.described.ports.grpc}`);
    buffer = openRawRpc(`127.0.0.1:${system.described.ports.buffer}`);
    processor = await createStreamProcessor("good", system.client, { ...noModels, outputs: onlyResults });
    pids = pidsNow();
  });
  after(async () => {
    gateway.close();
    buffer.close();
    await processor.close();
    await system.stop();
  });

  const publish = (fields: Parameters<typeof PublishRequest.fromPartial>[0]): Promise<RpcEnd> => {
    const request = PublishRequest.fromPartial({ stream: "good", ...fields });
    return gateway.unary(publishPath, PublishRequest.encode(request).finish());
  };
  const text = (value: string) => ({ content: { $case: "text" as const, value } });

  for (const [name, bytes] of malformed) {
    it(`malformed protobuf: ${name}`, async () => {
      refused(await gateway.unary(publishPath, bytes), "INVALID_ARGUMENT", "request");
      refused(await gateway.duplex(publishStreamPath, [open(), bytes]), "INVALID_ARGUMENT", "request");
      const append = "/millrace.buffer.v1.BufferService/Append";
      // Append's own fields lie one message deeper.
      const inBatch = Buffer.concat([Buffer.from([0x0a, bytes.length + 2, 0x0a, bytes.length]), bytes]);
      refused(await buffer.unary(append, inBatch), "INVALID_ARGUMENT");
      refused(
        await gateway.unary("/millrace.message.v1.SubscribeService/Subscribe", bytes),
        "INVALID_ARGUMENT",
      );
    });
  }

  it("frames that lie about their length or say nothing", async () => {
    const address = `127.0.0.1:${system.described.ports.grpc}`;
    const frame = (flag: number, length: number, bytes: number): Buffer => {
      const head = Buffer.alloc(5);
      head.writeUInt8(flag, 0);
      head.writeUInt32BE(length, 1);
      return Buffer.concat([head, Buffer.alloc(bytes)]);
    };
    assert.equal(await sendFrame(address, publishPath, frame(0, 0xffffffff, 16)), "RESOURCE_EXHAUSTED");
    for (const body of [
      frame(0, 100, 5),
      frame(1, 5, 5),
      frame(7, 5, 5),
      Buffer.from([0, 0]),
      Buffer.alloc(0),
    ]) {
      assert.notEqual(await sendFrame(address, publishPath, body), "OK");
    }
    assert.equal(await sendFrame(address, publishPath, frame(0, 0, 0)), "INVALID_ARGUMENT");
    assert.equal(
      await sendFrame(address, "/millrace.message.v1.PublishService/Nothing", frame(0, 0, 0)),
      "UNIMPLEMENTED",
    );
  });

  it("a message above the limit, and none at the limit", async () => {
    const most = "x".repeat(limits.messageBytesMax);
    assert.equal((await publish(text(most))).code, "OK");
    refused(await publish(text(`${most}y`)), "INVALID_ARGUMENT", "text");
    const data = Buffer.alloc(limits.messageBytesMax + 1);
    refused(await publish({ content: { $case: "data", value: data } }), "INVALID_ARGUMENT", "data");
    const huge = await publish(text("x".repeat(64 * 1024 * 1024)));
    assert.equal(huge.code, "RESOURCE_EXHAUSTED");
    assert.match(huge.message, /larger than max \(\d+ vs\.? \d+\)/);
    await rejects(processor.publish(`${most}y`), "invalid_argument", "message.text");
  });

  it("a streamed message above the limit, alone among good ones", async () => {
    const most = "x".repeat(limits.messageBytesMax);
    const values = ["before", most, `${most}y`, "behind"];
    const end = await gateway.duplex(publishStreamPath, [open(), messages(values.map(text))]);
    assert.equal(end.code, "OK", end.message);
    const responses = end.answers.map((bytes) => PublishStreamResponse.decode(bytes));
    assert.equal(responses.at(-1)?.acknowledgedBelow, 4);
    const [rejection, ...others] = responses.flatMap(({ rejections }) => rejections);
    assert.deepEqual(
      [rejection?.sequence, rejection?.code, rejection?.field],
      [2, "INVALID_ARGUMENT", "text"],
    );
    assert.match(rejection?.remedy ?? "", /at most 786432 bytes/);
    assert.deepEqual(others, []);
    const huge = [open(), messages([text("x".repeat(64 * 1024 * 1024))])];
    assert.equal((await gateway.duplex(publishStreamPath, huge)).code, "RESOURCE_EXHAUSTED");
  });

  it("an image that is none", async () => {
    const content = { $case: "image" as const, value: Buffer.from("no image") };
    refused(await publish({ content }), "INVALID_ARGUMENT", "image");
    const { answers } = await gateway.duplex(publishStreamPath, [open(), messages([{ content }])]);
    const rejections = answers.flatMap((bytes) => PublishStreamResponse.decode(bytes).rejections);
    assert.deepEqual(
      rejections.map(({ code, field }) => [code, field]),
      [["INVALID_ARGUMENT", "image"]],
    );
  });

  it("fields of a message beyond their limits", async () => {
    const one = text("x");
    const many = (count: number, value: string) =>
      Object.fromEntries(Array.from({ length: count }, (_, at) => [`name-${at}`, value]));
    const bad: [string, Parameters<typeof publish>[0]][] = [
      ["content", {}],
      ["attributes", { ...one, attributes: many(limits.attributesMax + 1, "v") }],
      ["attributes", { ...one, attributes: { ["n".repeat(limits.attributeNameCharsMax + 1)]: "v" } }],
      ["attributes", { ...one, attributes: { "": "v" } }],
      ["attributes", { ...one, attributes: { name: "v".repeat(limits.attributeValueBytesMax + 1) } }],
      ["attributes", { ...one, attributes: many(limits.attributesMax, "v".repeat(4_000)) }],
      ["source_id", { ...one, sourceId: "s".repeat(limits.sourceIdCharsMax + 1) }],
      ["source_id", { ...one, sourceId: "two\nlines" }],
      ["idempotency_key", { ...one, idempotencyKey: "k".repeat(limits.idempotencyKeyCharsMax + 1) }],
      ["priority", { ...one, priority: 9 as Priority }],
      ["event_time", { ...one, eventTime: { seconds: -1, nanos: 0 } }],
      ["stream", { ...one, stream: "Not A Name" }],
    ];
    for (const [field, request] of bad) refused(await publish(request), "INVALID_ARGUMENT", field);
  });

  it("a publish stream that does not keep to its form", async () => {
    const one = messages([text("x")]);
    const gap = messages([text("y")], 7);
    const bad: [string, Uint8Array[]][] = [
      ["kind", [one]],
      ["kind", [open(), open()]],
      ["kind", [Buffer.alloc(0)]],
      ["messages.first_sequence", [open("gap"), one, gap]],
      ["messages.messages", [open("many"), messages(Array.from({ length: 4_097 }, () => text("z")))]],
      [
        "open.epoch",
        [
          PublishStreamRequest.encode({
            kind: { $case: "open", value: { stream: "good", epoch: "E" } },
          }).finish(),
        ],
      ],
    ];
    for (const [field, requests] of bad) {
      refused(await gateway.duplex(publishStreamPath, requests), "INVALID_ARGUMENT", field);
    }
  });

  it("a stream that does not exist", async () => {
    const missing = { stream: "missing" };
    refused(await publish({ ...text("x"), ...missing }), "NOT_FOUND", "stream");
    const opening = { kind: { $case: "open" as const, value: { ...missing, epoch: "e".repeat(16) } } };
    const opened = [PublishStreamRequest.encode(opening).finish()];
    refused(await gateway.duplex(publishStreamPath, opened), "NOT_FOUND", "open.stream");
    const file = { $case: "file" as const, value: { path: system.inputDir } };
    const source = AddSourceRequest.fromPartial({ source: { ...missing, kind: file } });
    const addSource = "/millrace.source.v1.SourceService/AddSource";
    refused(
      await gateway.unary(addSource, AddSourceRequest.encode(source).finish()),
      "NOT_FOUND",
      "source.stream",
    );
    const { streams } = system.client;
    for (const call of [streams.get, streams.status, streams.pause, streams.delete]) {
      await rejects(call("missing"), "not_found", "name");
    }
    const named = Buffer.concat([Buffer.from([0x0a, 7]), Buffer.from("missing")]);
    const services = ["message.v1.SubscribeService/Subscribe", "event.v1.EventService/WatchEvents"];
    for (const service of services)
      refused(await gateway.unary(`/millrace.${service}`, named), "NOT_FOUND", "stream");
    const after = { stream: "missing", position: { source: "e".repeat(16), offset: 0 } };
    await rejects(system.client.search("x", { after }), "not_found", "after_stream");
  });

  it("resume tokens that nobody gave", async () => {
    for (const resumeToken of ["garbage", "\u0000", "AAAA", "9".repeat(400)]) {
      const reading = (async () => {
        for await (const message of processor.subscribe({ resumeToken })) assert.fail(message.id);
      })();
      await rejects(reading, "invalid_argument", "resume_token");
    }
  });

  it("settings of a stream that make no sense", async () => {
    const create = (fields: object): Promise<RpcEnd> => {
      const request = CreateStreamRequest.fromPartial({ stream: { name: "bad", ...fields } });
      const bytes = CreateStreamRequest.encode(request).finish();
      return gateway.unary("/millrace.stream.v1.StreamService/CreateStream", bytes);
    };
    const outputs = { results: {} };
    const bad: [string, object][] = [
      ["stream.name", { name: "Bad" }],
      ["stream.outputs", {}],
      ["stream.outputs.search", { outputs: { search: true } }],
      ["stream.privacy.detectors_off", { outputs, privacy: { detectorsOff: ["NOSE"] } }],
      ["stream.batch_size", { outputs, batchSize: 9_000 }],
      ["stream.processing_mode", { outputs, processingMode: 7 }],
      ["stream.outputs.results.bytes", { outputs: { results: { bytes: 1 } } }],
      ["stream.outputs.storage.roll_age", { outputs: { storage: { rollAge: { seconds: 0, nanos: 1 } } } }],
      ["stream.outputs.storage.format", { outputs: { storage: { format: 7 } } }],
    ];
    for (const [field, settings] of bad) refused(await create(settings), "INVALID_ARGUMENT", field);
    await rejects(system.client.streams.get("bad"), "not_found", "name");
  });

  it("options that the SDK does not know, and what they can't be", async () => {
    const { client } = system;
    const create = (options: object) => createStreamProcessor("bad", client, options);
    const off = { results: false, artifacts: false, search: false, events: false };
    await rejects(create({ colour: "red" }), "invalid_argument", "colour");
    await rejects(create({ outputs: { colour: "red" } }), "invalid_argument", "outputs.colour");
    await rejects(
      create({ enrichments: { embeddings: false }, outputs: { search: true } }),
      "invalid_argument",
      "outputs.search",
    );
    await rejects(create({ outputs: off }), "invalid_argument", "outputs");
    await rejects(
      create({ privacy: { detectorsOff: ["NOSE"] } }),
      "invalid_argument",
      "stream.privacy.detectors_off",
    );
    const sending = { text: "x", colour: "red" };
    await rejects(processor.publish(sending), "invalid_argument", "message.colour");
    await rejects(client.search("x", { colour: "red" } as object), "invalid_argument", "colour");
    await rejects(client.search(""), "invalid_argument", "query");
    await rejects(client.search("x".repeat(8_193)), "invalid_argument", "query");
    const source = { path: system.inputDir, colour: "red" };
    await rejects(processor.addFileSource(source), "invalid_argument", "colour");
    assert.throws(() => connect({ adress: "127.0.0.1:1" } as object), {
      code: "invalid_argument",
      field: "adress",
    });
  });

  it("a publish to a paused stream, until it is resumed", async () => {
    await createStreamProcessor("paused", system.client, { ...noModels, outputs: onlyResults });
    await system.client.streams.pause("paused");
    const paused = { ...text("x"), stream: "paused" };
    await until(async () => (await publish(paused)).code !== "OK", "the pause");
    refused(await publish(paused), "FAILED_PRECONDITION", "stream");
    await system.client.streams.resume("paused");
    await until(async () => (await publish(paused)).code === "OK", "the end of the pause");
  });

  it("a source that ingestion can't read, by its status", async () => {
    const file = join(system.inputDir, "a-file");
    await writeFile(file, "");
    const bad: [what: RegExp, path: string, pattern: string][] = [
      [/lies outside of the roots.*source\.file\.path.*Choose a directory below/, tmpdir(), "*.none"],
      [
        /missing.*cannot be resolved.*source\.file\.path.*Create the directory/,
        join(system.inputDir, "missing"),
        "*",
      ],
      [/is not a directory.*source\.file\.path.*Name the directory/, file, "*"],
      [/more than 3 stars.*source\.file\.pattern.*Split the source/, system.inputDir, "*a*b*c*d*"],
    ];
    for (const [what, path, pattern] of bad) {
      const source = await processor.addFileSource({ path, pattern, pollInterval: "50ms" });
      await until(async () => (await source.status()).lastError !== undefined, `an error like ${what}`);
      const { state, lastError = "" } = await source.status();
      assert.equal(state, "failed", lastError);
      assert.match(lastError, what);
      await source.remove();
    }
  });

  it("an entry that can't be read, while the files beside it are", async () => {
    const stream = "beside";
    const outputs = {
      ...onlyResults,
      results: false,
      storage: { format: "lines", rollAge: "100ms" },
    } as const;
    await using beside = await createStreamProcessor(stream, system.client, { ...noModels, outputs });
    const bad: [what: RegExp, make: (path: string) => unknown][] = [
      [/1-bad\.jsonl is not a regular file.*Narrow the pattern/, (path) => execFileSync("mkfifo", [path])],
      [/1-bad\.jsonl is a symbolic link.*Move the file itself/, (path) => symlink("nowhere", path)],
      [/1-bad\.jsonl is not a regular file.*Narrow the pattern/, (path) => mkdir(path)],
    ];
    for (const [at, [what, make]] of bad.entries()) {
      const dir = join(system.inputDir, `beside-${at}`);
      await mkdir(dir);
      await make(join(dir, "1-bad.jsonl"));
      for (const name of ["0", "2"]) await writeFile(join(dir, `${name}.jsonl`), `${at} ${name}\n`);
      const source = await beside.addFileSource({ path: dir, pollInterval: "50ms" });
      await until(async () => (await source.status()).lastError !== undefined, `an error like ${what}`);
      const { state, lastError = "" } = await source.status();
      assert.equal(state, "running");
      assert.match(lastError, what);
    }
    await until(
      async () => (await storedLines(system, stream)).length === 6,
      "the lines of the files beside",
    );
  });

  it("and after all this the same processes pass a good message, an empty one too", async () => {
    const contents: unknown[] = [];
    const reading = (async () => {
      for await (const { content } of processor.subscribe({ from: "earliest" })) {
        contents.push(content);
        if (content === "all is well") break;
      }
    })();
    await processor.publish("");
    await processor.publish("all is well");
    await reading;
    assert.deepEqual(contents.slice(-2), ["", "all is well"]);
    assert.deepEqual(pidsNow(), pids);
    assert.deepEqual(
      system.programs().filter(({ restarts }) => restarts > 0),
      [],
    );
    const log = await system.logText();
    for (const sign of ["crashed", "rpc failed", "request failed"])
      assert.ok(!log.includes(`"${sign}"`), sign);
  });
});

const epoch = (name: string): string => `bad-input-epoch-${name}`;

function open(name = "0"): Uint8Array {
  const value = { stream: "good", epoch: epoch(name) };
  return PublishStreamRequest.encode({ kind: { $case: "open", value } }).finish();
}

function messages(list: readonly object[], firstSequence = 0): Uint8Array {
  const value = { firstSequence, messages: [...list] };
  return PublishStreamRequest.encode(
    PublishStreamRequest.fromPartial({ kind: { $case: "messages", value } }),
  ).finish();
}

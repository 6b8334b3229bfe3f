import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { test } from "node:test";
import { CodedError } from "@millrace/errors";
import type { StreamInfo, TextMessage, TriggerStatusInfo } from "@millrace/sdk";
import { renderError } from "../output.js";
import { renderHits } from "./search.js";
import { renderStatus, renderStreams } from "./status.js";
import { renderMessage } from "./subscribe.js";
import { type AddFlags, readSettings } from "./trigger-flags.js";
import { renderTrigger, renderTriggers } from "./triggers.js";

const stream: StreamInfo = {
  name: "live",
  processingMode: "real_time",
  bufferSize: 1_048_576,
  batchSize: 1000,
  ordered: false,
  parallelism: 0,
  memoryMapping: true,
  mmapSize: 1_000_000_000,
  zeroCopy: true,
  workerThreads: 0,
  privacy: { detectorsOff: [], exempt: false, faceDetection: true },
  enrichments: { embeddings: true, sentiment: true, textField: "", objects: false, scene: false },
  outputs: {
    results: { ageMs: 0, bytes: 0 },
    storage: undefined,
    artifacts: false,
    search: true,
    events: false,
    violations: false,
  },
  state: "active",
  createdTime: new Date(0),
};

const message: TextMessage = {
  id: "m1",
  stream: "live",
  sourceId: "s1",
  position: { source: "e", offset: 1 },
  attributes: {},
  priority: "high",
  eventTime: undefined,
  acceptedTime: new Date(1_700_000_000_000),
  findingsOmitted: 0,
  findings: [
    { type: "EMAIL", place: "body", start: 0, length: 7, box: undefined },
    { type: "EMAIL", place: "body", start: 9, length: 7, box: undefined },
  ],
  sentiment: { label: "positive", score: 0.5, model: "m" },
  objects: [],
  scene: undefined,
  passport: [],
  resumeToken: "r1",
  kind: "text",
  content: "to [EMAIL]\nand\u001b[31m more",
  text: "to [EMAIL]\nand\u001b[31m more",
};

test("streams are a table", () => {
  assert.deepEqual(renderStreams([stream, { ...stream, name: "archive", state: "paused" }]), [
    "STREAM   STATE   MODE       BATCH  OUTPUTS",
    "live     active  real_time  1000   results,search",
    "archive  paused  real_time  1000   results,search",
  ]);
});

test("a status shows the conservation line and what waits", () => {
  const conservation = {
    in: 5,
    out: 3,
    dead: 1,
    dropped: 0,
    inFlight: 1,
    droppedByReason: {},
    balanced: true,
  };
  const status = {
    stream,
    conservation,
    stages: [{ stage: "privacy", batches: 2 }],
    sources: [],
    sinks: [],
    durability: "synced",
    dataPath: "mapped: in place",
    buffer: {
      liveBytes: 2_000_000,
      quotaBytes: 1_048_576,
      waiting: ["gateway", "ingestion"],
      lags: [{ sink: "store", bytes: 2_000_000 }],
    },
    groups: [
      {
        name: "handlers",
        maySkip: false,
        maxAttempts: 5,
        waitingBatches: 2,
        inHandBatches: 0,
        waitingMessages: 70,
        oldestWaiting: new Date(1_700_000_000_000),
        members: 0,
        isRead: false,
        lastSettled: undefined,
        holdsBack: true,
      },
    ],
  };
  assert.deepEqual(renderStatus(status), [
    "live: active, real_time, outputs results, search",
    "messages: in 5 = out 3 + dead 1 + dropped 0 + in flight 1: balanced",
    "buffer: 2000000 of 1048576 bytes, FULL: gateway and ingestion wait, since store lags by 2000000 bytes",
    "group handlers of live HOLDS IT BACK: nobody works in it, 70 messages wait for it, and sources wait " +
      "once the results are full. Start its application, or: millrace groups rm live handlers",
    "durability: synced, data path: mapped: in place",
    "worker threads: as each service is set",
    "",
    "STAGE    BATCHES WAITING",
    "privacy  2",
    "",
    "STREAM  GROUP     MODE          MEMBERS  WAITING  SINCE                     LAST SETTLED",
    "live    handlers  must_deliver  0        70 in 2  2023-11-14T22:13:20.000Z  never",
  ]);
});

test("a message is one line, whatever its text does", () => {
  assert.equal(
    renderMessage(message),
    "2023-11-14T22:13:20.000Z  s1  to [EMAIL] and [31m more  [positive EMAIL]",
  );
});

test("data is shown by its size", () => {
  const data = Uint8Array.of(1, 2);
  const { text: _, ...rest } = message;
  const line = renderMessage({
    ...rest,
    kind: "data",
    content: data,
    data,
    findings: [],
    sentiment: undefined,
  });
  assert.equal(line, "2023-11-14T22:13:20.000Z  s1  2 bytes");
});

test("an image is shown by its size, and by what it shows", () => {
  const imageData = Uint8Array.of(1, 2);
  const { text: _, ...rest } = message;
  const cup = { label: "cup", score: 0.5, x: 1, y: 2, width: 3, height: 4, model: "o" };
  const line = renderMessage({
    ...rest,
    kind: "image",
    content: imageData,
    imageData,
    findings: [],
    sentiment: undefined,
    objects: [cup, cup],
    scene: { label: "drink", score: 0.5, model: "s" },
  });
  assert.equal(line, "2023-11-14T22:13:20.000Z  s1  an image of 2 bytes  [drink cup]");
});

test("hits are score, place and text", () => {
  const hit = {
    contentId: "c",
    artifact: "a",
    stream: "live",
    sourceId: "s1",
    score: 0.8125,
    text: "late\nagain",
  };
  assert.deepEqual(renderHits({ hits: [hit, { ...hit, sourceId: "" }], model: "m" }), [
    "0.813  live/s1  late again",
    "0.813  live  late again",
  ]);
});

test("a trigger is a row, and shown with its settings", () => {
  const trigger: TriggerStatusInfo = {
    id: "clean",
    stream: "",
    on: ["privacy_violation"],
    where: { findingTypes: ["CARD"] },
    anonymize: true,
    paused: false,
    createdTime: new Date(0),
    updatedTime: new Date(0),
    state: "failing",
    waiting: 2,
    deadLetters: 1,
    lastError: "no\nanswer",
    lastErrorTime: new Date(0),
    lastDoneTime: undefined,
  };
  assert.deepEqual(renderTriggers([trigger]), [
    "TRIGGER  STATE    ON                 ACTION     WAITING  DEAD",
    "*/clean  failing  privacy_violation  anonymize  2        1",
  ]);
  assert.deepEqual(renderTrigger(trigger), [
    "*/clean: failing, 2 waiting, 1 dead",
    "last done: never",
    "last error: 1970-01-01T00:00:00.000Z: no answer",
    'on: ["privacy_violation"]',
    'where: {"findingTypes":["CARD"]}',
    "anonymize: true",
  ]);
});

test("flags of triggers add come to settings, and bad ones are refused by name", async () => {
  const stdin = (text: string): Readable => Readable.from([Buffer.from(text)]);
  const read = (id: string | undefined, flags: Partial<AddFlags>, text = "") =>
    readSettings(id, { address: "a:1", ...flags }, { stdin: stdin(text) });
  const kafka = { kafka: "told", kafkaServer: ["k:9092"] };
  assert.deepEqual(await read("a", { on: ["new_data,dead_letter"], stream: "s", minScore: 0.5, ...kafka }), {
    id: "a",
    stream: "s",
    on: ["new_data", "dead_letter"],
    where: { minScore: 0.5 },
    kafka: { topic: "told", bootstrapServers: ["k:9092"] },
  });
  const settings = { id: "a", on: ["new_data"], nats: "a" };
  assert.deepEqual(await read(undefined, { settings: "-" }, JSON.stringify(settings)), settings);
  const refused: [string | undefined, Partial<AddFlags>, field: string, text?: string][] = [
    [undefined, {}, "id"],
    ["a", {}, "--on"],
    ["a", { on: ["x"] }, "action"],
    ["a", { on: ["x"], nats: "a", anonymize: true }, "action"],
    ["a", { on: ["x"], nats: "a", secret: ["k"] }, "--secret"],
    ["a", { on: ["x"], webhook: "u", headerSecret: ["=k"] }, "--header-secret"],
    ["a", { on: ["x"], kafka: "told" }, "--kafka-server"],
    ["a", { settings: "-" }, "--settings"],
    [undefined, { settings: "-" }, "--settings", "{"],
    [undefined, { settings: "/none/such" }, "--settings"],
  ];
  for (const [id, flags, field, text] of refused)
    await assert.rejects(read(id, flags, text), { field }, JSON.stringify(flags));
});

test("an error is one line with field and remedy", () => {
  const error = new CodedError("invalid_argument", "text is\nempty", { field: "text", remedy: "Send one." });
  assert.equal(renderError(error), "error: text is empty (field: text). Send one.");
  assert.equal(renderError(new Error("odd")), "error: millrace: odd.");
});

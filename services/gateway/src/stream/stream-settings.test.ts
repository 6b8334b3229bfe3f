import assert from "node:assert/strict";
import test from "node:test";
import { ProcessingMode, StorageFormat, Stream } from "@millrace/proto/stream";
import { completeSettings, isSameSettings } from "./stream-settings.js";

type Given = Parameters<typeof Stream.fromPartial>[0];

const settings = (given: Given): Stream =>
  completeSettings(Stream.fromPartial({ name: "notes", outputs: { results: {} }, ...given }));

test("every default is filled in", () => {
  const stream = settings({ outputs: { results: {}, storage: {} } });
  assert.equal(stream.processingMode, ProcessingMode.PROCESSING_MODE_REAL_TIME);
  assert.equal(stream.batchSize, 1_000);
  assert.deepEqual([stream.memoryMapping, stream.mmapBytes, stream.zeroCopy], [true, 1_000_000_000, true]);
  assert.equal(stream.bufferBytes, 256 * 1024 * 1024);
  assert.deepEqual(stream.outputs?.results, { age: { seconds: 3_600, nanos: 0 }, bytes: 256_000_000 });
  assert.deepEqual(stream.outputs?.storage, {
    format: StorageFormat.STORAGE_FORMAT_RECORDS,
    rollBytes: 64 * 1024 * 1024,
    rollAge: { seconds: 10, nanos: 0 },
    retainBytes: 0,
  });
});

test("what is not declared stays undeclared", () => {
  assert.equal(settings({ outputs: { events: true } }).outputs?.results, undefined);
});

test("settings are the same whatever their order, state and time", () => {
  const one = settings({ privacy: { detectorsOff: ["IP", "EMAIL"] } });
  const other = settings({ batchSize: 1_000, privacy: { detectorsOff: ["EMAIL", "IP", "IP"] } });
  assert.ok(isSameSettings({ ...one, createdMs: 5, state: 2 }, other));
  assert.ok(!isSameSettings(one, settings({})));
  const before = { ...settings({}), memoryMapping: undefined, mmapBytes: 0, zeroCopy: undefined };
  assert.ok(isSameSettings(before, settings({})), "a stream of before these settings");
  assert.ok(!isSameSettings(before, settings({ zeroCopy: false })));
  assert.ok(isSameSettings({ ...one, bufferBytes: 0 }, other), "a stream of before, without a quota");
  assert.ok(!isSameSettings(one, { ...other, bufferBytes: 1024 ** 2 }));
});

test("each bad setting is refused by its field, with what to do", () => {
  const cases: [field: string, given: Given][] = [
    ["stream.name", { name: "" }],
    ["stream.name", { name: "Notes" }],
    ["stream.name", { name: "notes-" }],
    ["stream.name", { name: "n".repeat(65) }],
    ["stream.batch_size", { batchSize: 8_193 }],
    ["stream.worker_threads", { workerThreads: 257 }],
    ["stream.mmap_bytes", { mmapBytes: 65_535 }],
    ["stream.buffer_bytes", { bufferBytes: 1024 ** 2 - 1 }],
    ["stream.buffer_bytes", { bufferBytes: 64 * 1024 ** 3 + 1 }],
    ["stream.processing_mode", { processingMode: 9 as ProcessingMode }],
    ["stream.privacy.detectors_off", { privacy: { detectorsOff: ["SHOE_SIZE"] } }],
    ["stream.enrichments.text_field", { enrichments: { textField: "x".repeat(129) } }],
    ["stream.outputs", { outputs: {} }],
    ["stream.outputs.search", { outputs: { search: true } }],
    ["stream.outputs.results.age", { outputs: { results: { age: { seconds: 0, nanos: 5 } } } }],
    ["stream.outputs.results.bytes", { outputs: { results: { bytes: 10 } } }],
    ["stream.outputs.storage.roll_bytes", { outputs: { storage: { rollBytes: 10 } } }],
    ["stream.outputs.storage.retain_bytes", { outputs: { storage: { retainBytes: 100 << 20 } } }],
    ["stream.outputs.storage.roll_age", { outputs: { storage: { rollAge: { seconds: 0, nanos: 0 } } } }],
    ["stream.outputs.storage.format", { outputs: { storage: { format: 7 as StorageFormat } } }],
  ];
  for (const [field, given] of cases) {
    assert.throws(
      () => settings(given),
      (error: Error & { field?: string; remedy?: string; code?: string }) => {
        assert.deepEqual([error.code, error.field], ["invalid_argument", field]);
        assert.ok(error.remedy);
        return true;
      },
    );
  }
});

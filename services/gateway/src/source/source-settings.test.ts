import assert from "node:assert/strict";
import test from "node:test";
import { Source } from "@millrace/proto/source";
import { completeSource } from "./source-settings.js";

const complete = (file: object): Source =>
  completeSource(
    "default",
    Source.fromPartial({ stream: "notes", kind: { $case: "file", value: { path: "/in", ...file } } }),
  );

test("a source's id follows from its stream and its settings, defaults filled in", () => {
  const source = complete({});
  assert.match(source.id, /^[0-9a-f]{32}$/);
  assert.deepEqual(source, complete({ pattern: "*.jsonl", pollInterval: { seconds: 1, nanos: 0 } }));
  assert.notEqual(source.id, complete({ pattern: "*.log" }).id);
  assert.deepEqual(source, complete({ repeat: 1 }));
  assert.notEqual(source.id, complete({ repeat: 2 }).id);
  assert.deepEqual(source, complete({ format: 1 }));
  const csv = complete({ format: 2 });
  assert.deepEqual(csv, complete({ format: 2, delimiter: ",", pattern: "*.csv" }));
  assert.notEqual(csv.id, complete({ format: 2, delimiter: ";" }).id);
});

test("globs below a directory pass", () => {
  for (const pattern of ["*.{jsonl,log}", "logs/**/*.txt", "[a-z]?.x", "\\[1\\].x", "{[ab],c}.x"]) {
    complete({ pattern });
  }
});

test("each bad setting is refused by its field", () => {
  const cases: [field: string, file: object][] = [
    ["source.file.path", { path: "in" }],
    ["source.file.path", { path: "/in\0" }],
    ["source.file.pattern", { pattern: "../x" }],
    ["source.file.pattern", { pattern: "/x" }],
    ["source.file.pattern", { pattern: "[a" }],
    ["source.file.pattern", { pattern: "a]" }],
    ["source.file.pattern", { pattern: "{a,b" }],
    ["source.file.pattern", { pattern: "a\\" }],
    ["source.file.pattern", { pattern: "+(a)" }],
    ["source.file.poll_interval", { pollInterval: { seconds: 0, nanos: 1e6 } }],
    ["source.file.repeat", { repeat: 1_000_001 }],
    ["source.file.repeat", { repeat: 2, format: 2 }],
    ["source.file.format", { format: 9 }],
    ["source.file.delimiter", { delimiter: ";" }],
    ["source.file.delimiter", { format: 2, delimiter: '"' }],
    ["source.file.delimiter", { format: 2, delimiter: "ab" }],
    ["source.file.delimiter", { format: 2, delimiter: "é" }],
    ["source.file.source_id", { sourceId: "a\nb" }],
  ];
  for (const [field, file] of cases) {
    assert.throws(() => complete(file), { code: "invalid_argument", field }, JSON.stringify(file));
  }
  const without = Source.fromPartial({ stream: "notes" });
  assert.throws(() => completeSource("default", without), { field: "source.kind" });
});

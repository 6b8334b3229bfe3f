import assert from "node:assert/strict";
import { appendFile, writeFile } from "node:fs/promises";
import { test } from "node:test";
import { CodedError } from "@millrace/errors";
import { defaultFrameLimits } from "../lines/line-framer.js";
import { eventually, setUp } from "../testing.js";

test("a repeated file is read in a loop, with positions going on", async (t) => {
  const { source, path, appended, texts } = await setUp(t, {}, { repeat: 3 });
  await writeFile(path("a.jsonl"), "1\n22\n");
  source.start();
  await eventually("drained", () => source.drained());
  assert.equal(texts().join(""), "1\n22\n".repeat(3));
  let next = 0;
  for (const { from, to, text } of appended) {
    assert.deepEqual([from, to], [next, next + text.length]);
    next = to;
  }
  assert.deepEqual(source.status(), {
    state: "running",
    position: "15 bytes of 1 file",
    files: 1,
    lagBytes: 0,
    lagMessages: 0,
    lagSeconds: 0,
    lastError: undefined,
  });
});

test("passes longer than a read join without a gap, in frames across their borders", async (t) => {
  const { source, path, texts } = await setUp(t, { appendsInFlightMax: 1 }, { repeat: 4 });
  const content = Array.from({ length: 3_000 }, (_, at) => `${at} ${"x".repeat((at * 37) % 900)}\n`).join("");
  await writeFile(path("a.jsonl"), content);
  source.start();
  await eventually("drained", () => source.drained());
  assert.equal(texts().join(""), content.repeat(4));
});

test("a repeated file resumes in the pass and at the line where it was stopped", async (t) => {
  const frames = { ...defaultFrameLimits, countMax: 1 };
  const { source, create, path, appended, texts, buffer } = await setUp(
    t,
    { frames, appendsInFlightMax: 1 },
    { repeat: 3 },
  );
  buffer.refuse = (frame) =>
    frame.positionFrom < 7 ? undefined : new CodedError("resource_exhausted", "the stream is full");
  await writeFile(path("a.jsonl"), "1\n22\n");
  source.start();
  await eventually("the refusal", () => source.status().lastError !== undefined);
  await source.close();
  assert.deepEqual(texts(), ["1\n", "22\n", "1\n"]);
  buffer.refuse = () => undefined;
  const next = create();
  next.start();
  await eventually("drained", () => next.drained());
  await next.close();
  assert.equal(texts().join(""), "1\n22\n".repeat(3));
  assert.deepEqual([appended[3]?.from, appended[5]?.to], [7, 15]);
});

test("a repeated file that changes its size is read no further, and others go on", async (t) => {
  const { source, create, path, texts } = await setUp(t, {}, { repeat: 2 });
  await writeFile(path("a.jsonl"), "1\n22\n");
  source.start();
  await eventually("drained", () => source.drained());
  await appendFile(path("a.jsonl"), "3\n");
  await writeFile(path("b.jsonl"), "4\n");
  await eventually("the error", () =>
    /a\.jsonl changed from 5 to 7 bytes.*leave repeat out/.test(source.status().lastError ?? ""),
  );
  await eventually("the other file", () => texts().join("").includes("4\n4\n"));
  await source.close();
  assert.ok(!texts().join("").includes("3"));

  // It is not noticed as another size after a restart, but as a position that is no line's start.
  await writeFile(path("a.jsonl"), "1234567\n");
  const next = create();
  next.start();
  await eventually("the error", () => /starts no line/.test(next.status().lastError ?? ""));
  await next.close();
});

test("a change of size amid the passes ends them", async (t) => {
  const frames = { ...defaultFrameLimits, countMax: 1 };
  const { source, path, texts } = await setUp(t, { frames, appendsInFlightMax: 1 }, { repeat: 1_000_000 });
  await writeFile(path("a.jsonl"), "1\n");
  source.start();
  await eventually("some passes", () => texts().length > 10);
  await appendFile(path("a.jsonl"), "2\n");
  await eventually("the error", () => /changed from 2 to 4/.test(source.status().lastError ?? ""));
  assert.ok(texts().length < 1_000_000);
  assert.ok(!texts().includes("2\n"));
});

test("a file whose last line is incomplete is not repeated", async (t) => {
  const { source, path, texts } = await setUp(t, {}, { repeat: 2 });
  await writeFile(path("a.jsonl"), "1\n2");
  source.start();
  await eventually("the error", () => /its last line is incomplete/.test(source.status().lastError ?? ""));
  assert.deepEqual(texts(), []);
});

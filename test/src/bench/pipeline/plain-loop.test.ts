import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import { createLineMaker } from "./line-maker.js";
import { addFile, difference, emptySum } from "./line-sum.js";
import { makeInput } from "./make-input.js";
import { redactFile, redactPlainly } from "./plain-loop.js";

const signal = new AbortController().signal;

test("the plain redaction takes each type out and nothing else", () => {
  const cases: [string, string][] = [
    ["mail anna.meyer7@mail.example.org now", "mail [EMAIL] now"],
    ["call (212) 555-0147 now", "call [PHONE] now"],
    ["call +1 415-555-0100 now", "call [PHONE] now"],
    ["card 4111111111111111 now", "card [CARD] now"],
    ["card 4111-1111-1111-1111 now", "card [CARD] now"],
    ["account DE89370400440532013000 now", "account [IBAN] now"],
    ["account GB29 NWBK 6016 1331 9268 19 now", "account [IBAN] now"],
    ["ssn 123-45-6789 now", "ssn [SSN] now"],
    ["from 203.0.113.7 now", "from [IP] now"],
    ["from 2001:db8::1a2b:3c4d now", "from [IP] now"],
    ["see https://anna:secret@example.com/x", "see https://[URL_CREDENTIALS]@example.com/x"],
  ];
  for (const [before, after] of cases) assert.equal(redactPlainly(before), after);
  const kept = '{"time":1764028800123,"seq":4111111111111112,"took":12.5,"at":"10:15:00"}';
  assert.equal(redactPlainly(kept), kept);
});

test("a made line has its length, parses, is unlike the one before, and is redacted as it says", () => {
  const maker = createLineMaker({ lineBytes: 1024, personal: 1, firstSequence: 0, seed: 3 });
  const target = Buffer.alloc(1024);
  const types = new Set<string>();
  const seen = new Set<string>();
  for (let made = 0; made < 2_000; made++) {
    const expected = maker.write(target, 0).toString("latin1");
    const line = target.toString("latin1");
    assert.equal(line.indexOf("\n"), 1023);
    assert.equal(typeof (JSON.parse(line) as { time: unknown }).time, "number");
    assert.equal(redactPlainly(line.slice(0, -1)), expected);
    for (const [, type] of expected.matchAll(/\[([A-Z_]+)\]/g)) types.add(type ?? "");
    seen.add(line);
  }
  assert.equal(seen.size, 2_000);
  assert.deepEqual([...types].sort(), ["CARD", "EMAIL", "IBAN", "IP", "PHONE", "SSN", "URL_CREDENTIALS"]);
});

test("the share of lines with personal data is the one asked for, and a seed gives the same lines", () => {
  const make = (): string[] => {
    const maker = createLineMaker({ lineBytes: 1024, personal: 0.05, firstSequence: 0, seed: 5 });
    const target = Buffer.alloc(1024);
    return Array.from({ length: 10_000 }, () => maker.write(target, 0).toString("latin1"));
  };
  const lines = make();
  const personal = lines.filter((line) => /\[[A-Z_]+\]/.test(line)).length;
  assert.ok(personal > 400 && personal < 600, `${personal} of 10,000`);
  assert.deepEqual(make(), lines);
});

test("the loop's file has the sum that the input foretells; with one byte changed it has not", async (t) => {
  const dir = await mkdtemp(join(tmpdir(), "millrace-loop-"));
  t.after(() => rm(dir, { recursive: true }));
  const made = {
    dir: join(dir, "in"),
    lineBytes: 1000,
    bytes: 6_000_000,
    files: 2,
    personal: 0.2,
    seed: 1,
    signal,
  };
  const input = await makeInput(made);
  assert.equal(input.lines, 6_000);
  const found = emptySum();
  for (const [at, file] of input.files.entries()) {
    await redactFile(file.path, join(dir, `out-${at}`), signal);
    await addFile(found, join(dir, `out-${at}`), signal);
  }
  assert.equal(difference(input.expected, found), undefined);

  const raw = emptySum();
  for (const { path } of input.files) await addFile(raw, path, signal);
  assert.notEqual(difference(input.expected, raw), undefined);
  assert.equal((await readFile(input.files[0]?.path ?? "")).length, 3_000_000);
});

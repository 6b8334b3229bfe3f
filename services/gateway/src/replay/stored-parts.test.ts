import assert from "node:assert/strict";
import { mkdir, mkdtemp, open, readdir, rename, rm, stat, unlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import test, { after, before, beforeEach } from "node:test";
import { CodedError } from "@millrace/errors";
import { contentHash } from "@millrace/files";
import { createPartLinks } from "./part-links.js";
import type { ReplayBounds } from "./replay-bounds.js";
import type { ReplayedRow } from "./replayed-row.js";
import { openStoredParts, type StoredParts } from "./stored-parts.js";

const all: ReplayBounds = { kind: "all", source: "", from: 0, to: Number.POSITIVE_INFINITY };
/** Several blocks of what is read at once. */
const rows = 4_000;
const rowText = (part: number, row: number): string => `part ${part} row ${row} ${"x".repeat(1_000)}`;

let scratch: string;
let root: string;
let dir: string;
let stored: StoredParts;

before(async () => {
  scratch = await mkdtemp(join(tmpdir(), "millrace-parts-"));
});
beforeEach(async (t) => {
  root = join(scratch, t.name.replaceAll(/\W+/g, "-"));
  dir = join(root, "default", "orders");
  await mkdir(join(dir, ".spool", "free"), { recursive: true });
  stored = await openStoredParts({ root, instance: "0" });
});
after(() => rm(scratch, { recursive: true }));

const partName = (part: number): string => `part-output-0-0000000${part}.jsonl`;
const manifestName = (part: number): string => `part-output-0-0000000${part}.manifest.json`;

/** As output leaves it. */
async function writePart(part: number): Promise<string> {
  const bytes = Buffer.from(Array.from({ length: rows }, (_, row) => `${rowText(part, row)}\n`).join(""));
  const told = {
    file: partName(part),
    bytes: bytes.length,
    blake3: contentHash(bytes),
    format: "lines",
    closed: new Date(0).toISOString(),
    sources: [],
  };
  await writeFile(join(dir, manifestName(part)), JSON.stringify(told));
  await writeFile(join(dir, partName(part)), bytes);
  return join(dir, partName(part));
}

/** As output takes back a part: its file is written over unless somebody holds it. */
async function takeBack(part: number): Promise<"written over" | "left alone"> {
  const free = join(dir, ".spool", "free", `output-0-0000000${part}.free`);
  await unlink(join(dir, manifestName(part)));
  await rename(join(dir, partName(part)), free);
  if ((await stat(free)).nlink > 1) {
    await unlink(free);
    return "left alone";
  }
  await writeFile(free, "other lines\n".repeat(400_000));
  return "written over";
}

const read = (signal = new AbortController().signal): AsyncGenerator<ReplayedRow> =>
  stored.read({ tenant: "default", stream: basename(dir) }, all, signal);

async function textsOf(reading: AsyncIterable<ReplayedRow>): Promise<string[]> {
  const texts: string[] = [];
  for await (const { content } of reading) texts.push(Buffer.from(content).toString());
  return texts;
}

/** How many rows come out until it fails. */
async function failureOf(reading: AsyncIterable<ReplayedRow>): Promise<{ sent: number; error: CodedError }> {
  let sent = 0;
  try {
    for await (const _ of reading) sent++;
  } catch (caught) {
    assert.ok(caught instanceof CodedError);
    return { sent, error: caught };
  }
  throw new Error(`no failure in ${sent} rows`);
}

const heldNames = (): Promise<string[]> => readdir(join(root, ".replay", "0"));

test("all parts are read in order, and nothing is held afterwards", async () => {
  await writePart(2);
  await writePart(1);
  const wanted = [1, 2].flatMap((part) => Array.from({ length: rows }, (_, row) => rowText(part, row)));
  assert.deepEqual(await textsOf(read()), wanted);
  assert.deepEqual(await heldNames(), []);
});

for (const [what, at] of [
  ["first", 0],
  ["last", -1],
] as const) {
  test(`of a part whose ${what} byte changed nothing comes out`, async () => {
    const path = await writePart(1);
    const file = await open(path, "r+");
    await file.write(Buffer.from("X"), 0, 1, at < 0 ? (await file.stat()).size + at : at);
    await file.close();
    const { sent, error } = await failureOf(read());
    assert.equal(sent, 0);
    assert.equal(error.code, "data_loss");
    assert.match(String(error), /part-output-0-00000001\.jsonl is not what its manifest says/);
    assert.deepEqual(await heldNames(), []);
  });
}

test("a part that became shorter or longer gives nothing either", async () => {
  const path = await writePart(1);
  const { size } = await stat(path);
  const file = await open(path, "r+");
  for (const other of [size - 1, size + 1, 0]) {
    await file.truncate(other);
    const { sent, error } = await failureOf(read());
    assert.equal(sent, 0, `${other} bytes`);
    assert.equal(error.code, "data_loss");
  }
  await file.close();
});

test("a part that is taken back while it is read is read whole", async () => {
  await writePart(1);
  const reading = read();
  const first = await reading.next();
  assert.equal(await takeBack(1), "left alone");
  const rest = await textsOf(reading);
  const texts = [Buffer.from(first.value?.content ?? "").toString(), ...rest];
  assert.deepEqual(
    texts,
    Array.from({ length: rows }, (_, row) => rowText(1, row)),
  );
  assert.deepEqual(await heldNames(), [], "and its blocks are given back");
});

test("a part that is taken back before its turn is an error that names it", async () => {
  await writePart(1);
  await writePart(2);
  const reading = read();
  await reading.next();
  assert.equal(await takeBack(2), "written over");
  const { sent, error } = await failureOf(reading);
  assert.equal(sent, rows - 1);
  assert.equal(error.code, "not_found");
  assert.match(String(error), /part-output-0-00000002\.jsonl was removed before it was read/);
  assert.deepEqual((await textsOf(read())).length, rows, "the next call brings what is left");
});

test("who ends early, or is ended, holds nothing", async () => {
  await writePart(1);
  const reading = read();
  await reading.next();
  assert.equal((await heldNames()).length, 1);
  await reading.return(undefined);
  assert.deepEqual(await heldNames(), []);
  const reason = new CodedError("canceled", "ended");
  const { sent, error } = await failureOf(read(AbortSignal.abort(reason)));
  assert.deepEqual([sent, error], [0, reason]);
  assert.deepEqual(await heldNames(), []);
});

test("links of a process that was killed are removed by its successor, others stay", async () => {
  const path = await writePart(1);
  for (const instance of ["0", "1"]) await createPartLinks({ root, instance }).hold(path);
  await openStoredParts({ root, instance: "0" });
  await openStoredParts({ root: join(root, "never"), instance: "0" });
  assert.deepEqual(await readdir(join(root, ".replay")), ["1"]);
  assert.equal((await stat(path)).nlink, 2);
});

test("where no links can be made it is said what to do", async () => {
  await writePart(1);
  await writeFile(join(root, ".replay"), "in the way");
  const { sent, error } = await failureOf(read());
  assert.equal(sent, 0);
  assert.deepEqual([error.code, error.field], ["failed_precondition", "source"]);
  assert.match(String(error), /can't be linked: .*Let gateway make links below replay\.storageDir/);
});

test("a manifest that can't be read is an error, one without its file announces nothing", async () => {
  await writePart(1);
  await unlink(await writePart(2));
  assert.equal((await textsOf(read())).length, rows);
  await writeFile(join(dir, manifestName(2)), "{");
  const { sent, error } = await failureOf(read());
  assert.equal(sent, 0);
  assert.equal(error.code, "data_loss");
  dir = join(root, "default", "never");
  assert.deepEqual(await textsOf(read()), [], "and neither does a stream that stored nothing");
});

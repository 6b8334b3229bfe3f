import assert from "node:assert/strict";
import { contentHash } from "@millrace/files";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { type Input, makeInput } from "../make-input.js";
import { redactPlainly } from "../plain-loop.js";
import { checkManifests, checkSample, type Foretold } from "./check-parts.js";
import { type PartManifest, watchParts } from "./part-watch.js";

const signal = new AbortController().signal;
const lineBytes = 600;
const perFile = 100;

interface Stored {
  dir: string;
  input: Input;
  foretold: Foretold;
  manifests: PartManifest[];
}

/** Two files of 100 lines, read in two passes and stored as four parts with lines of both. */
async function store(t: TestContext): Promise<Stored> {
  const dir = await mkdtemp(join(tmpdir(), "millrace-parts-"));
  t.after(() => rm(dir, { recursive: true }));
  const bytes = 2 * perFile * lineBytes;
  const input = await makeInput({
    dir: join(dir, "in"),
    lineBytes,
    bytes,
    files: 2,
    personal: 0.3,
    seed: 4,
    signal,
  });
  const texts = await Promise.all(input.files.map(({ path }) => readFile(path, "latin1")));
  const lines = texts.map((text) => text.split("\n").slice(0, perFile));
  const manifests: PartManifest[] = [];
  for (let part = 0; part < 4; part++) {
    // The first source's second part spans the border of the passes.
    const spans: [number, number][] = [
      [part * 50 + (part > 1 ? 10 : 0), part * 50 + 50 + (part > 0 && part < 3 ? 10 : 0)],
      [part * 50, part * 50 + 50],
    ];
    const text = spans.flatMap(([from, to], file) =>
      Array.from({ length: to - from }, (_, at) => redactPlainly(lines[file]?.[(from + at) % perFile] ?? "")),
    );
    manifests.push(await write(dir, part, { text, spans }));
  }
  const foretold = {
    messages: 4 * perFile,
    bytes: 2 * input.expected.bytes,
    sources: 2,
    positions: 2 * perFile * lineBytes,
  };
  return { dir, input, foretold, manifests };
}

async function write(
  dir: string,
  part: number,
  { text, spans }: { text: string[]; spans: [number, number][] },
): Promise<PartManifest> {
  const bytes = Buffer.from(`${text.join("\n")}\n`, "latin1");
  const manifest: PartManifest = {
    file: `part-${part}.jsonl`,
    messages: text.length,
    bytes: bytes.length,
    blake3: contentHash(bytes),
    sources: spans.map(([from, to], file) => ({
      source: `key-${1 - file}`,
      intervals: [[from * lineBytes, to * lineBytes]],
      messages: to - from,
    })),
  };
  await writeFile(join(dir, manifest.file), bytes);
  await writeFile(join(dir, `part-${part}.manifest.json`), JSON.stringify(manifest));
  return manifest;
}

const sampleOf = ({ dir, input, manifests }: Stored, redact = redactPlainly) =>
  checkSample({
    dir,
    samplesDir: join(dir, "aside"),
    manifests,
    input,
    redact,
    othersMax: 4,
    seed: 1,
    signal,
  });

test("parts that hold each line of each pass once are right", async (t) => {
  const stored = await store(t);
  assert.equal(checkManifests(stored.manifests, stored.foretold), undefined);
  assert.deepEqual(await sampleOf(stored), { checked: 4, lines: 400 });
});

test("manifests that miss, repeat or do not sign something are caught", async (t) => {
  const { manifests, foretold } = await store(t);
  const mutants: [RegExp, (copy: PartManifest[]) => void][] = [
    [/310 messages instead of 400/, (copy) => void copy.pop()],
    [/messages instead of/, ([first]) => void (first && first.messages++)],
    [/bytes instead of/, ([first]) => void (first && first.bytes--)],
    [/has no BLAKE3/, ([first]) => void (first && (first.blake3 = ""))],
    [/1 sources instead of 2/, (copy) => copy.forEach(({ sources }) => void sources.pop())],
    [/positions from 0 to 600 are not stored/, ([first]) => shift(first, lineBytes)],
    [/are stored twice/, ([, , third]) => shift(third, -lineBytes)],
    [/a source ends at/, ([, , , last]) => shift(last, 0, -lineBytes)],
  ];
  for (const [message, mutate] of mutants) {
    const copy = structuredClone(manifests);
    mutate(copy);
    assert.match(checkManifests(copy, foretold) ?? "", message);
  }
});

function shift(manifest: PartManifest | undefined, from: number, to = 0): void {
  const interval = manifest?.sources[0]?.intervals[0];
  if (interval === undefined) return;
  interval[0] += from;
  interval[1] += to;
}

test("a part whose content is not what was read is caught, also under a hash that fits", async (t) => {
  const stored = await store(t);
  const { dir, manifests } = stored;
  const [part] = manifests;
  assert.ok(part !== undefined);
  const path = join(dir, part.file);
  const good = await readFile(path);
  const mutate = async (change: (lines: string[]) => void): Promise<PartManifest> => {
    const lines = good.toString("latin1").split("\n").slice(0, -1);
    change(lines);
    const bytes = Buffer.from(`${lines.join("\n")}\n`, "latin1");
    await writeFile(path, bytes);
    return { ...part, bytes: bytes.length, blake3: contentHash(bytes) };
  };
  const wrong = async (manifest: PartManifest): Promise<string> =>
    JSON.stringify(await sampleOf({ ...stored, manifests: [manifest] }));
  const aWord = await mutate((lines) => (lines[3] = lines[3]?.replace(/[a-z]"\}$/, '?"}') ?? ""));
  assert.match(await wrong(aWord), /not what an independent redaction gives/);
  assert.match(await wrong({ ...aWord, blake3: part.blake3 }), /BLAKE3 is another one/);
  const repeated = await mutate((lines) => (lines[3] = lines[4] ?? ""));
  assert.match(await wrong(repeated), /not those whose positions the manifest lists/);
  const foreign = await mutate((lines) => (lines[3] = '{"time":1,"seq":200,"level":"info"}'));
  assert.match(await wrong(foreign), /not of the input/);
  await writeFile(path, good.subarray(0, -1));
  assert.match(await wrong(part), /bytes instead of/);
  await writeFile(path, good);
  assert.match(
    JSON.stringify(await sampleOf(stored, (line) => line)),
    /not what an independent redaction gives/,
  );
});

test("parts that were taken back are left out of the sample, unless they were put aside", async (t) => {
  const stored = await store(t);
  await rm(join(stored.dir, "part-1.jsonl"));
  assert.deepEqual(await sampleOf(stored), { checked: 3, lines: 290 });
  const watch = watchParts(stored.dir, signal, join(stored.dir, "aside"));
  t.after(watch.stop);
  await watch.untilPublished(400);
  for (const { file } of stored.manifests) await rm(join(stored.dir, file), { force: true });
  // One is put aside at once, the next one seconds later.
  const aside = await sampleOf(stored);
  assert.ok(typeof aside === "object" && aside.checked === 1, JSON.stringify(aside));
});

test("a watch knows manifests that are gone when it is asked", async (t) => {
  const { dir, manifests } = await store(t);
  const watch = watchParts(dir, signal);
  t.after(watch.stop);
  assert.equal((await watch.untilPublished(400)).length, 4);
  for (const { file } of manifests) await rm(join(dir, file.replace(".jsonl", ".manifest.json")));
  assert.deepEqual(
    (await watch.untilPublished(400)).map(({ file }) => file).sort(),
    manifests.map(({ file }) => file),
  );
});

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { basename, join } from "node:path";
import { tmpdir } from "node:os";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { CodedError } from "@millrace/errors";
import { loadCorpus, plantedTypes, readTexts } from "./corpus.js";
import type { PlantedItem } from "./corpus.js";

// From dist/ to the corpus beside it.
const dir = fileURLToPath(new URL("../corpus", import.meta.url));
const { files, published, planted, searches } = loadCorpus(dir);
const fromFiles = files.flatMap(({ path }) => readTexts(path));
const all = [...fromFiles, ...published];
const textById = new Map(all.map(({ id, text }) => [id, text]));
const sourceIdById = new Map(published.map(({ id, sourceId }) => [id, sourceId]));
const plantedIn = (field: PlantedItem["field"]) => planted.filter((item) => item.field === field);
const valuesOf = (type: PlantedItem["type"]) =>
  planted.filter((item) => item.type === type).map(({ value }) => value);

function passesLuhn(digits: string): boolean {
  const sum = [...digits].reverse().reduce((total, digit, at) => {
    const doubled = Number(digit) * (at % 2 === 0 ? 1 : 2);
    return total + (doubled > 9 ? doubled - 9 : doubled);
  }, 0);
  return sum % 10 === 0;
}

/** ISO 7064 mod 97-10: the first four characters go last, letters count from 10. */
function passesMod97(iban: string): boolean {
  const digits = [...(iban.slice(4) + iban.slice(0, 4))].map((char) => Number.parseInt(char, 36)).join("");
  return BigInt(digits) % 97n === 1n;
}

test("the corpus holds 2,000 texts or more, from four sources or more", () => {
  assert.ok(all.length >= 2000, `${all.length} texts`);
  assert.ok(files.length >= 4, `${files.length} files`);
  assert.ok(published.length > 0);
  for (const { path, count } of files) assert.equal(readTexts(path).length, count);
});

test("every id is unique and begins with its source", () => {
  assert.equal(textById.size, all.length);
  for (const { path } of files) {
    const source = basename(path, ".jsonl");
    assert.ok(
      readTexts(path).every(({ id }) => id.startsWith(`${source}-`)),
      source,
    );
  }
});

test("every text is one line of 40 to 400 characters", () => {
  for (const { id, text } of all) {
    assert.ok(text.length >= 40 && text.length <= 400, id);
    assert.doesNotMatch(text, /\p{Cc}/u, id);
  }
});

test("at least 5 % of the texts hold planted personal data, of every type", () => {
  const ids = new Set(plantedIn("text").map(({ id }) => id));
  assert.ok(ids.size / all.length >= 0.05, `${ids.size} of ${all.length}`);
  for (const type of plantedTypes)
    assert.ok(
      plantedIn("text").some((item) => item.type === type),
      type,
    );
});

test("some source ids are personal data, and each of them is in the ground truth", () => {
  const listed = new Set(plantedIn("source_id").map(({ id }) => id));
  assert.ok(listed.size > 0);
  for (const { id, sourceId } of published) assert.equal(listed.has(id), !/^table-\d\d$/.test(sourceId), id);
});

test("every planted value stands at its offsets", () => {
  for (const { id, field, start, end, value } of planted) {
    const held = field === "text" ? textById.get(id) : sourceIdById.get(id);
    assert.equal(held?.slice(start, end), value, id);
  }
});

test("every planted file is one that is loaded", () => {
  const paths = new Set(files.map(({ path }) => `texts/${basename(path)}`));
  for (const { file, id } of planted) {
    assert.ok(sourceIdById.has(id) ? file.startsWith("published/") : paths.has(file), `${file} ${id}`);
  }
});

test("planted cards pass the Luhn check", () => {
  for (const value of valuesOf("CARD")) assert.ok(passesLuhn(value.replace(/[ -]/g, "")), value);
});

test("planted account numbers pass the mod 97 check", () => {
  for (const value of valuesOf("IBAN")) assert.ok(passesMod97(value.replaceAll(" ", "")), value);
});

test("planted social security numbers keep the rules of area, group and serial", () => {
  for (const value of valuesOf("SSN")) {
    assert.match(value, /^(?!000|666|9)\d{3}-(?!00)\d\d-(?!0000)\d{4}$/);
  }
});

test("planted addresses lie in ranges that are reserved for documentation", () => {
  for (const value of valuesOf("EMAIL")) assert.match(value, /@(\w+\.)?example\.(com|org|net)$/);
  for (const value of valuesOf("IP")) {
    assert.match(value, /^(192\.0\.2|198\.51\.100|203\.0\.113)\.\d+$|^2001:0?db8:/);
  }
});

test("a text without planted data holds nothing that looks like personal data", () => {
  const withData = new Set(plantedIn("text").map(({ id }) => id));
  const shapes = [
    /[\w.+-]+@[\w-]+\.\w+/,
    /\b\d{3}-\d\d-\d{4}\b/,
    /(\d[ -]?){13,16}/,
    /\b(\d{1,3}\.){3}\d{1,3}\b/,
  ];
  for (const { id, text } of all.filter((line) => !withData.has(line.id))) {
    for (const shape of shapes) assert.doesNotMatch(text, shape, id);
  }
});

test("each search has its answer among the texts without planted data", () => {
  const withData = new Set(planted.map(({ id }) => id));
  assert.ok(searches.length >= 3);
  for (const { query, answer } of searches) {
    for (const id of answer) assert.ok(textById.has(id) && !withData.has(id), query);
  }
});

test("a folder without a corpus is refused with its path", () => {
  const empty = mkdtempSync(join(tmpdir(), "millrace-corpus-"));
  try {
    assert.throws(
      () => loadCorpus(empty),
      (error: unknown) => {
        assert.ok(error instanceof CodedError);
        assert.equal(error.code, "not_found");
        return error.message.includes(empty);
      },
    );
  } finally {
    rmSync(empty, { recursive: true });
  }
});

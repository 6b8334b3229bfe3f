/**
 * Rebuilds texts/, published/ and planted.jsonl from unpacked packages: `node make-corpus.mjs <folder>`.
 * README.md has the commands that fetch and unpack them. Equal packages give equal bytes: chance is seeded.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { carrier, makePlant, types } from "./plants.mjs";
import { sources } from "./sources.mjs";

const lengthMin = 40;
const lengthMax = 400;
/** Lines that get personal data; it leaves room for the carrier below `lengthMax`. */
const plantedShare = 0.08;
const plantableLengthMax = 280;
/** Share of the planted lines that get a second item. */
const secondShare = 0.2;

const here = dirname(fileURLToPath(import.meta.url));

/** What no line may hold: addresses, numbers and links that a detector could rightly or wrongly find. */
const unsafe = [
  /@|https?:|www\./i,
  /\d{1,3}\.\d{1,3}\.\d{1,3}/,
  /[\da-f]*::[\da-f]*|([\da-f]{1,4}:){2}/i,
  /(\d[ ,.()/-]*){7}/,
];

/** Slurs and coarse words that occur in the originals: a demonstration can do without them. */
const coarse = new RegExp(
  `\\b(?:${[
    "negro\\w*|nigg\\w*|savage\\w*|colored|cannibal\\w*|heathen\\w*|pagan\\w*|squaw|japs?|darkey",
    "half-breed\\w*|jews?|gypsy|gypsies|slave\\w*|nazi\\w*|gay|homo\\w*|retard\\w*|cripple\\w*",
    "f+u+c+k\\w*|\\w*shit\\w*|crap\\w*|ass|asses|damn\\w*|bitch\\w*|bastard\\w*|whore\\w*|slut\\w*|tits?",
    "dumb\\w*|idiot\\w*|moron\\w*|dick|porn\\w*|rape\\w*|raping|sex\\w*|naked",
  ].join("|")})\\b`,
  "i",
);

function seeded(name) {
  let state = [...name].reduce((hash, char) => Math.imul(hash ^ char.codePointAt(0), 16777619), 2166136261);
  // mulberry32: Tommy Ettinger's 32-bit generator, public domain.
  const next = () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const between = (low, high) => low + Math.floor(next() * (high - low + 1));
  const shuffle = (list) => {
    const copy = [...list];
    for (let i = copy.length - 1; i > 0; i--) {
      const j = between(0, i);
      [copy[i], copy[j]] = [copy[j], copy[i]];
    }
    return copy;
  };
  return { next, between, shuffle, pick: (list) => list[between(0, list.length - 1)] };
}

function isFit(text) {
  if (text.length < lengthMin || text.length > lengthMax) return false;
  if (!/^["“‘(]?[A-Za-z]/.test(text) || !/[.!?…]["”’')]*$/.test(text)) return false;
  // Whole characters only: no controls, and nothing that was broken by a wrong encoding.
  if (/[\p{Cc}\p{Co}\p{Cs}\ufffd]|Ã|â€/u.test(text)) return false;
  return !coarse.test(text) && !text.includes("**") && !unsafe.some((pattern) => pattern.test(text));
}

/** Drops unfit lines and repeats (also those that only end otherwise), draws `count`, keeps their order. */
function draw(candidates, { count, name, seen, random }) {
  const fit = [];
  for (const candidate of candidates) {
    const text = candidate.replace(/\s+/g, " ").trim();
    const key = text
      .toLowerCase()
      .replace(/[^a-z]/g, "")
      .slice(0, 36);
    if (!isFit(text) || seen.has(key)) continue;
    seen.add(key);
    fit.push(text);
  }
  if (fit.length < count) throw new Error(`${name}: ${fit.length} fit lines, ${count} wanted`);
  const chosen = random
    .shuffle([...fit.keys()])
    .slice(0, count)
    .sort((a, b) => a - b);
  return chosen.map((at, i) => ({ id: `${name}-${String(i + 1).padStart(4, "0")}`, text: fit[at] }));
}

/** Puts one item into the line; items that lie behind it move. */
function plant(line, { type, place, random }) {
  const { inserted, offset, value } = makePlant(type, random);
  const { at, before, after, form } = spot(line.text, place);
  const [head, tail] = carrier(type, form, random).split("{}");
  const piece = before + head + inserted + tail + after;
  const start = at + before.length + head.length + offset;
  for (const item of line.items) {
    if (item.start < at) continue;
    item.start += piece.length;
    item.end += piece.length;
  }
  line.text = line.text.slice(0, at) + piece + line.text.slice(at);
  line.items.push({ type, start, end: start + value.length, value });
}

function spot(text, place) {
  if (place === "start") return { at: 0, before: "", after: " ", form: "sentences" };
  if (place === "end") return { at: text.length, before: " ", after: "", form: "sentences" };
  const middle = text.length / 2;
  const nearest = (pattern) => {
    const borders = [...text.matchAll(pattern)].map((match) => match.index);
    return borders.sort((a, b) => Math.abs(a - middle) - Math.abs(b - middle))[0];
  };
  const border = nearest(/(?<=[a-z][.!?]) (?=[A-Z])/g);
  if (border !== undefined) return { at: border, before: " ", after: "", form: "sentences" };
  const at = nearest(/(?<=[a-z])[,;] /g) ?? nearest(/(?<=[a-z]) /g);
  return { at, before: " (", after: ")", form: "asides" };
}

function plantAll(lines, { kept, random, deck }) {
  // Shuffled before it is filtered, so that another search moves as few plants as can be.
  const isOpen = ({ id, text }) => !kept.has(id) && text.length <= plantableLengthMax;
  const chosen = random
    .shuffle(lines)
    .filter(isOpen)
    .slice(0, Math.round(lines.length * plantedShare));
  for (const [i, line] of chosen.entries()) {
    const places = random.shuffle(["start", "middle", "end"]);
    const wanted = i < chosen.length * secondShare ? 2 : 1;
    for (const place of places.slice(0, wanted)) plant(line, { type: deck(), place, random });
    line.items.sort((a, b) => a.start - b.start);
  }
}

/** Types in turn, shuffled anew each round, so that every type comes up equally often. */
function dealer(random) {
  let round = [];
  return () => {
    if (round.length === 0) round = random.shuffle(types);
    return round.pop();
  };
}

/** Whom a published message comes from: mostly a table, but some callers use personal data as a name. */
function sourceIds(lines, random) {
  const personal = [
    { type: "EMAIL", value: "nora.falk@example.com" },
    { type: "EMAIL", value: "Iris.Vandenberg@post.example.org" },
    { type: "PHONE", value: "+12025550147" },
    { type: "PHONE", value: "+442079460012" },
    { type: "SSN", value: "812-41-7730" },
    { type: "IP", value: "198.51.100.77" },
  ];
  for (const line of lines) {
    const named = random.next() < 0.06 ? random.pick(personal) : undefined;
    line.sourceId = named?.value ?? `table-${String(random.between(1, 60)).padStart(2, "0")}`;
    if (named) line.named = named;
  }
}

function truth(file, { id, items, named }) {
  const inText = items.map((item) => ({ file, id, field: "text", ...item }));
  if (!named) return inText;
  const { type, value } = named;
  return [{ file, id, field: "source_id", type, start: 0, end: value.length, value }, ...inText];
}

const toLines = (rows) => rows.map((row) => `${JSON.stringify(row)}\n`).join("");

function main(folder) {
  // The answers of the searches stay as they are in the original.
  const searches = JSON.parse(readFileSync(join(here, "searches.json"), "utf8"));
  const kept = new Set(searches.flatMap(({ answer }) => answer));
  const seen = new Set();
  const deck = dealer(seeded("types"));
  const planted = [];
  for (const { name, folder: from, count, published, read } of sources) {
    const random = seeded(name);
    const drawn = draw(read(join(folder, from)), { count, name, seen, random });
    const lines = drawn.map((line) => ({ ...line, items: [] }));
    plantAll(lines, { kept, random, deck });
    if (published) sourceIds(lines, random);
    const file = `${published ? "published" : "texts"}/${name}.jsonl`;
    const rows = lines.map(({ id, sourceId, text }) => ({ id, source_id: sourceId, text }));
    mkdirSync(join(here, dirname(file)), { recursive: true });
    writeFileSync(join(here, file), toLines(rows));
    planted.push(...lines.flatMap((line) => truth(file, line)));
  }
  writeFileSync(join(here, "planted.jsonl"), toLines(planted));
}

const folder = process.argv[2];
if (folder === undefined) {
  process.stderr.write("usage: node make-corpus.mjs <folder of unpacked packages> (see README.md)\n");
  process.exitCode = 2;
} else {
  main(folder);
}

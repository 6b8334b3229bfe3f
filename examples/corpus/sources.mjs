/**
 * Where the texts come from: one entry per source, each reading an unpacked package and giving candidate
 * lines in the order of the original. make-corpus.mjs drops the unfit ones and draws from the rest.
 */
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";

/**
 * `folder` is the name that the fetch commands of README.md unpack to; `count` is how many lines are drawn;
 * `published` sources are sent over gRPC instead of being read from a file.
 */
export const sources = [
  { name: "reviews-movies", folder: "sentiment", count: 400, read: (dir) => reviews(dir, "imdb") },
  { name: "reviews-products", folder: "sentiment", count: 400, read: (dir) => reviews(dir, "amazon") },
  { name: "speeches", folder: "sotu", count: 450, read: speeches },
  { name: "moby-dick", folder: "moby-dick", count: 400, read: mobyDick },
  { name: "node-docs", folder: "types-node", count: 400, read: nodeDocs },
  {
    name: "reviews-restaurants",
    folder: "sentiment",
    count: 400,
    published: true,
    read: (dir) => reviews(dir, "yelp"),
  },
];

/** Customers and staff whom a review names: private persons, so their lines are left out. */
const namedPersons = /\b(Jeff|Dylan|Maria|Heimer|Jenni|Ians?|Ryan|Carly|Joey|Lisa|Jake|Cory|Matt|Brad)\b/;

function reviews(dir, set) {
  const rows = JSON.parse(readFileSync(join(dir, "test", "fixtures", `${set}.json`), "utf8"));
  // Some film sentences carry Windows-1252 punctuation as C1 control characters, some others HTML entities.
  const marks = { "\x85": "…", "\x96": "–", "\x97": "—", "&amp;": "&", "&quot;": '"' };
  const lines = rows.map(({ text }) => text.replace(/[\x85\x96\x97]|&amp;|&quot;/g, (mark) => marks[mark]));
  return set === "imdb" ? lines : lines.filter((line) => !namedPersons.test(line));
}

/** Addresses of 1900 to 1980: later ones greet private guests in the gallery by name. */
function speeches(dir) {
  const files = readdirSync(join(dir, "data")).filter((name) => /^19([0-7]\d|80)_\w+\.json$/.test(name));
  return files.sort().flatMap((name) => {
    const { text } = JSON.parse(readFileSync(join(dir, "data", name), "utf8"));
    return sentences(text).filter((line) => !/\b(Mr|Mrs|Miss|Messrs)\b/.test(line));
  });
}

function mobyDick(dir) {
  const chapters = readdirSync(join(dir, "data")).filter((name) => /^chapter_\d+\.json$/.test(name));
  const numberOf = (name) => Number(/\d+/.exec(name)?.[0]);
  chapters.sort((a, b) => numberOf(a) - numberOf(b));
  return chapters.flatMap((name) => {
    const { text } = JSON.parse(readFileSync(join(dir, "data", name), "utf8"));
    return text
      .split(/\n{2,}/)
      .flatMap(sentences)
      .filter((line) => line.length >= 60);
  });
}

/** The prose of the doc comments of Node's type declarations: no code, no lists, no tags. */
function nodeDocs(dir) {
  const files = readdirSync(dir)
    .filter((name) => name.endsWith(".d.ts"))
    .sort();
  return files.flatMap((name) => {
    const blocks = readFileSync(join(dir, name), "utf8").match(/\/\*\*[\s\S]*?\*\//g) ?? [];
    return blocks.flatMap(prose);
  });
}

function prose(block) {
  const inner = block.slice(3, -2).replace(/^[ \t]*\* ?/gm, "");
  const text = inner.replace(/```[\s\S]*?(```|$)/g, "").split(/^\s*@/m)[0] ?? "";
  const paragraphs = text.split(/\n\s*\n/).filter((paragraph) => !/^\s*([*\-|#>]|\d+\.)\s?/m.test(paragraph));
  return paragraphs
    .map(plain)
    .filter((line) => !/[{}<>|[\]\\`*]/.test(line))
    .flatMap(pack);
}

/** Markdown and JSDoc links become their words. */
function plain(paragraph) {
  return paragraph
    .replace(/\{@link\s+([^}\s]+)(?:\s+[^}]*)?\}/g, "$1")
    .replace(/\[([^\]]*)\]\([^)]*\)/g, "$1")
    .replace(/`([^`]*)`/g, "$1")
    .replace(/\*{1,2}([^*]+)\*{1,2}/g, "$1")
    .replace(/(?<!\w)_([^_]+)_(?!\w)/g, "$1")
    .trim();
}

/** Short paragraphs stay whole; long ones are cut into sentences. */
function pack(paragraph) {
  const line = paragraph.replace(/\s+/g, " ");
  return line.length <= 240 ? [line] : sentences(line);
}

function sentences(text) {
  const line = text.replace(/\s+/g, " ").trim();
  return line.split(/(?<=[a-z\d)][.!?]["”’']?) (?=["“‘]?[A-Z])/);
}

/*
 * The input of the main job, as it lies on disk (see corpus/README.md):
 *
 *   <dir>/texts/<source>.jsonl       {"id","text"}              one line is one message of a file source
 *   <dir>/published/<source>.jsonl   {"id","source_id","text"}  sent over gRPC
 *   <dir>/planted.jsonl              {"file","id","field","type","start","end","value"}
 *   <dir>/searches.json              [{"query","answer":[id],"why"}]
 */
import { CodedError } from "@millrace/errors";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";

export const plantedTypes = ["EMAIL", "PHONE", "CARD", "IBAN", "SSN", "IP", "URL_CREDENTIALS"] as const;
export type PlantedType = (typeof plantedTypes)[number];

/** One item of made-up personal data that a filter must find. */
export interface PlantedItem {
  /** Relative to the corpus: `texts/speeches.jsonl`. */
  file: string;
  /** Of the message that holds the item. */
  id: string;
  field: "text" | "source_id";
  type: PlantedType;
  /** UTF-16 offsets of `value` in the field, as it is before redaction; `end` is exclusive. */
  start: number;
  end: number;
  /** For URL_CREDENTIALS only `user:password`. */
  value: string;
}

export interface CorpusFile {
  /** As `loadCorpus` was given the directory: absolute if that was. */
  path: string;
  /** Messages in the file. */
  count: number;
}

export interface PublishedMessage {
  id: string;
  sourceId: string;
  text: string;
}

export interface CorpusSearch {
  query: string;
  /** Ids of the messages of which one must be among the first three hits. */
  answer: string[];
  why: string;
}

export interface Corpus {
  files: CorpusFile[];
  published: PublishedMessage[];
  planted: PlantedItem[];
  searches: CorpusSearch[];
}

/** Reads the corpus under `dir`, files in the order of their names; a CodedError if a part is broken. */
export function loadCorpus(dir: string): Corpus {
  const files = jsonlIn(join(dir, "texts")).map((path) => ({ path, count: readLines(path).length }));
  const published = jsonlIn(join(dir, "published")).flatMap((path) => parseLines(path, asPublished));
  const planted = parseLines(join(dir, "planted.jsonl"), asPlanted);
  const searchesPath = join(dir, "searches.json");
  const searches = parse(readText(searchesPath), searchesPath);
  if (!Array.isArray(searches)) throw broken(searchesPath, "it is not a list");
  return { files, published, planted, searches: searches.map((row) => asSearch(row, searchesPath)) };
}

/** The messages of one file under texts/. */
export function readTexts(path: string): { id: string; text: string }[] {
  return parseLines(path, (row, where) => ({
    id: textOf(row, "id", where),
    text: textOf(row, "text", where),
  }));
}

type Row = Readonly<Record<string, unknown>>;

function asPublished(row: Row, where: string): PublishedMessage {
  return {
    id: textOf(row, "id", where),
    sourceId: textOf(row, "source_id", where),
    text: textOf(row, "text", where),
  };
}

function asPlanted(row: Row, where: string): PlantedItem {
  const type = plantedTypes.find((known) => known === row["type"]);
  const field = row["field"];
  if (type === undefined) throw broken(where, "type is unknown");
  if (field !== "text" && field !== "source_id") throw broken(where, "field is neither text nor source_id");
  return {
    file: textOf(row, "file", where),
    id: textOf(row, "id", where),
    field,
    type,
    start: offsetOf(row, "start", where),
    end: offsetOf(row, "end", where),
    value: textOf(row, "value", where),
  };
}

function asSearch(value: unknown, where: string): CorpusSearch {
  const row = asRow(value, where);
  const answer = row["answer"];
  const isIds = Array.isArray(answer) && answer.length > 0 && answer.every((id) => typeof id === "string");
  if (!isIds) throw broken(where, "answer is not a list of ids");
  return { query: textOf(row, "query", where), answer, why: textOf(row, "why", where) };
}

function jsonlIn(dir: string): string[] {
  try {
    const names = readdirSync(dir).filter((name) => name.endsWith(".jsonl"));
    return names.sort().map((name) => join(dir, name));
  } catch (error) {
    throw CodedError.from(error, `reading the corpus in ${dir}`);
  }
}

function parseLines<T>(path: string, as: (row: Row, where: string) => T): T[] {
  return readLines(path).map((line, at) => {
    const where = `${path}:${at + 1}`;
    return as(asRow(parse(line, where), where), where);
  });
}

function readLines(path: string): string[] {
  return readText(path)
    .split("\n")
    .filter((line) => line !== "");
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw CodedError.from(error, `reading the corpus file ${path}`);
  }
}

function parse(json: string, where: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    // The parser's own message quotes what it read.
    throw broken(where, "it is not JSON");
  }
}

function asRow(value: unknown, where: string): Row {
  const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
  if (!isObject) throw broken(where, "it is not an object");
  return value as Row;
}

function textOf(row: Row, key: string, where: string): string {
  const value = row[key];
  if (typeof value !== "string" || value === "") throw broken(where, `${key} is not a text`);
  return value;
}

function offsetOf(row: Row, key: string, where: string): number {
  const value = row[key];
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0) {
    throw broken(where, `${key} is not an offset`);
  }
  return value;
}

function broken(where: string, what: string): CodedError {
  return new CodedError("data_loss", `reading the corpus at ${where}: ${what}`, {
    remedy: "Restore examples/corpus from version control, or rebuild it with make-corpus.mjs.",
  });
}

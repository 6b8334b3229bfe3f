import { join } from "node:path";
import { loadCorpus, readTexts } from "@millrace/examples";
import { below, type Seeded } from "../seeded.js";

export interface CorpusText {
  id: string;
  text: string;
  /** Holds planted personal data. */
  isPersonal: boolean;
}

export function corpusTexts(root: string): CorpusText[] {
  const { files, published, planted } = loadCorpus(join(root, "examples", "corpus"));
  const personal = new Set(planted.map(({ id }) => id));
  return [...files.flatMap(({ path }) => readTexts(path)), ...published].map(({ id, text }) => ({
    id,
    text,
    isPersonal: personal.has(id),
  }));
}

const wordsMin = 4;
const wordsMax = 10;

/**
 * Queries as people type them: some words in a row of a text, no two alike. Texts with personal data are left
 * out, since the gateway embeds what privacy has left of a query.
 */
export function drawQueries(texts: readonly CorpusText[], count: number, random: Seeded): string[] {
  const sources = texts.filter(({ isPersonal }) => !isPersonal).map(({ text }) => text.split(" "));
  const queries = new Set<string>();
  while (queries.size < count) {
    const words = sources[below(random, sources.length)] ?? [];
    const length = wordsMin + below(random, wordsMax - wordsMin + 1);
    const from = below(random, Math.max(1, words.length - length));
    queries.add(words.slice(from, from + length).join(" "));
  }
  return [...queries];
}

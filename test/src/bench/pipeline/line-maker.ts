import { below, pick, seeded, type Seeded } from "../seeded.js";
import { type Planted, plantedData } from "./planted-data.js";

/*
 * A line, as a service would log it; all ASCII, `lineBytes` with its line feed:
 *
 *   {"time":<13 digits>,"seq":<n>,"level":"info","service":"checkout","trace":"<32 hex>",
 *    "text":"words … words"}\n                                            on one line
 *
 * The sequence number makes it unlike any other. A line with personal data has one or two phrases between
 * its words.
 */
export interface LineMaker {
  /**
   * Writes a line to `target` and returns it as it must come out, without its line feed: a view into
   * `target`, or into memory that the next line reuses.
   */
  write(target: Buffer, at: number): Buffer;
}

export interface LineMakerOptions {
  lineBytes: number;
  /** Share of the lines that hold personal data. */
  personal: number;
  /** Of the whole input: no two makers may number the same line. */
  firstSequence: number;
  seed: number;
}

/** Longer than the longest line that is made, so that a slice of it fills one. */
const wordBytes = 1 << 20;
const vocabulary = [
  "order",
  "accepted",
  "the",
  "payment",
  "was",
  "sent",
  "again",
  "after",
  "a",
  "timeout",
  "of",
  "backend",
  "and",
  "queue",
  "is",
  "draining",
  "slowly",
  "cache",
  "miss",
  "for",
  "cart",
  "page",
  "user",
  "left",
  "before",
  "checkout",
  "retry",
  "later",
  "stock",
  "level",
  "changed",
  "while",
  "shipping",
  "label",
  "printed",
  "twice",
  "nightly",
  "job",
] as const;
const levels = ["info", "info", "info", "warn", "error", "debug"] as const;
const services = ["checkout", "catalogue", "billing", "mailer", "search", "identity"] as const;

export function createLineMaker(options: LineMakerOptions): LineMaker {
  const random = seeded(options.seed);
  const words = wordText(random);
  const expected = Buffer.alloc(options.lineBytes + 64);
  let sequence = options.firstSequence;
  return {
    write: (target, at) => {
      const head = lineHead(random, sequence++);
      const isPersonal = random() < options.personal * 2 ** 32;
      const phrases = isPersonal ? plantedPhrases(random) : [];
      const from = below(random, wordBytes - options.lineBytes);
      const write = (into: Buffer, offset: number, side: keyof Planted, wordsLength: number): number => {
        let end = offset + into.write(head, offset, "latin1");
        let read = from;
        const piece = Math.floor(wordsLength / (phrases.length + 1));
        for (const phrase of phrases) {
          end += words.copy(into, end, read, read + piece);
          read += piece;
          end += into.write(` ${phrase[side]} `, end, "latin1");
        }
        end += words.copy(into, end, read, from + wordsLength);
        return end + into.write('"}\n', end, "latin1");
      };
      const planted = phrases.reduce((sum, { before }) => sum + before.length + 2, 0);
      const wordsLength = options.lineBytes - head.length - planted - 3;
      const end = write(target, at, "before", wordsLength);
      if (phrases.length === 0) return target.subarray(at, end - 1);
      return expected.subarray(0, write(expected, 0, "after", wordsLength) - 1);
    },
  };
}

function lineHead(random: Seeded, sequence: number): string {
  const time = 1_764_000_000_000 + sequence * 7 + below(random, 7);
  const trace = [random(), random(), random(), random()]
    .map((part) => part.toString(16).padStart(8, "0"))
    .join("");
  const level = pick(random, levels);
  const service = pick(random, services);
  const from = `"level":"${level}","service":"${service}","trace":"${trace}"`;
  return `{"time":${time},"seq":${sequence},${from},"text":"`;
}

function plantedPhrases(random: Seeded): Planted[] {
  return random() % 4 === 0 ? [plantedData(random), plantedData(random)] : [plantedData(random)];
}

function wordText(random: Seeded): Buffer {
  const text = Buffer.alloc(wordBytes, " ");
  for (let at = 0; at < wordBytes; ) at += 1 + text.write(pick(random, vocabulary), at, "latin1");
  return text;
}

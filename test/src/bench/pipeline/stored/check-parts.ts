import { contentHash } from "@millrace/files";
import { closeSync, openSync, readSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { seeded } from "../../seeded.js";
import type { Input } from "../make-input.js";
import type { PartManifest } from "./part-watch.js";

/** What all parts together must hold. */
export interface Foretold {
  messages: number;
  /** Of the parts, line feeds included. */
  bytes: number;
  /** Input files. Each is a source of its own with so many positions. */
  sources: number;
  positions: number;
}

/** What is wrong with the manifests of all parts, or undefined: each position of each source exactly once. */
export function checkManifests(
  manifests: readonly PartManifest[],
  { messages, bytes, sources, positions }: Foretold,
): string | undefined {
  const unsigned = manifests.find(({ blake3 }) => !/^[0-9a-f]{64}$/.test(blake3));
  if (unsigned !== undefined) return `${unsigned.file} has no BLAKE3`;
  const sum = (of: (manifest: PartManifest) => number): number =>
    manifests.reduce((total, manifest) => total + of(manifest), 0);
  const found = sum((manifest) => manifest.messages);
  if (found !== messages) return `manifests tell of ${found} messages instead of ${messages}`;
  const foundBytes = sum((manifest) => manifest.bytes);
  if (foundBytes !== bytes) return `manifests tell of ${foundBytes} bytes instead of ${bytes}`;
  const bySource = new Map<string, [number, number][]>();
  for (const { source, intervals } of manifests.flatMap((manifest) => manifest.sources)) {
    bySource.set(source, [...(bySource.get(source) ?? []), ...intervals]);
  }
  if (bySource.size !== sources) return `${bySource.size} sources instead of ${sources}`;
  for (const intervals of bySource.values()) {
    const wrong = checkCover(intervals, positions);
    if (wrong !== undefined) return wrong;
  }
  return undefined;
}

function checkCover(intervals: [number, number][], positions: number): string | undefined {
  let next = 0;
  for (const [from, to] of intervals.sort((left, right) => left[0] - right[0])) {
    if (from < next) return `positions from ${from} to ${Math.min(to, next)} are stored twice`;
    if (from > next) return `positions from ${next} to ${from} are not stored`;
    next = to;
  }
  return next === positions ? undefined : `a source ends at ${next} instead of ${positions}`;
}

export interface PartSample {
  checked: number;
  lines: number;
}

export interface SampleOptions {
  dir: string;
  /** Where the watch put parts aside; these are all checked. */
  samplesDir: string;
  manifests: readonly PartManifest[];
  input: Input;
  /** A line as it must be stored. */
  redact: (line: string) => string;
  /** Parts checked beside those that were put aside. */
  othersMax: number;
  seed: number;
  signal: AbortSignal;
}

/**
 * Checks the parts that were put aside, and others that are still there, chosen by the seed: the hash of the
 * manifest, each line against an independent redaction of the input's, and that the lines are those whose
 * positions the manifest lists. What is wrong, or how much was checked.
 */
export async function checkSample(options: SampleOptions): Promise<PartSample | string> {
  const { dir, samplesDir, manifests, othersMax, signal } = options;
  const random = seeded(options.seed);
  const shuffled = manifests.map((manifest) => ({ manifest, at: random() })).sort((a, b) => a.at - b.at);
  const sample: PartSample = { checked: 0, lines: 0 };
  let others = 0;
  for (const { manifest } of shuffled) {
    signal.throwIfAborted();
    let bytes = await readFile(join(samplesDir, manifest.file)).catch(() => undefined);
    if (bytes === undefined && others < othersMax) {
      bytes = await readFile(join(dir, manifest.file)).catch(() => undefined);
      if (bytes !== undefined) others += 1;
    }
    // It was taken back, or enough are read.
    if (bytes === undefined) continue;
    const wrong = checkPart(bytes, manifest, options);
    if (wrong !== undefined) return `${manifest.file}: ${wrong}`;
    sample.checked += 1;
    sample.lines += manifest.messages;
  }
  return sample;
}

function checkPart(bytes: Buffer, manifest: PartManifest, options: SampleOptions): string | undefined {
  if (bytes.length !== manifest.bytes) return `${bytes.length} bytes instead of ${manifest.bytes}`;
  if (contentHash(bytes) !== manifest.blake3) return "its BLAKE3 is another one";
  const { input, redact } = options;
  const linesPerFile = input.lines / input.files.length;
  const files = input.files.map(({ path }) => openSync(path, "r"));
  const line = Buffer.alloc(input.bytes / input.lines);
  const numbers = files.map((): number[] => []);
  try {
    for (let from = 0; from < bytes.length; ) {
      const feed = bytes.indexOf(0x0a, from);
      if (feed < 0) return "it ends in the middle of a line";
      const stored = bytes.toString("latin1", from, feed);
      const sequence = Number(/^\{"time":\d+,"seq":(\d+),/.exec(stored)?.[1] ?? Number.NaN);
      const file = Math.floor(sequence / linesPerFile);
      const number = sequence % linesPerFile;
      const descriptor = files[file];
      if (descriptor === undefined) return `a line that is not of the input, at byte ${from}`;
      readSync(descriptor, line, 0, line.length, number * line.length);
      const expected = redact(line.toString("latin1", 0, line.length - 1));
      if (stored !== expected) return `line ${sequence} is not what an independent redaction gives`;
      numbers[file]?.push(number);
      from = feed + 1;
    }
  } finally {
    for (const descriptor of files) closeSync(descriptor);
  }
  return checkPositions(numbers, manifest, { lineBytes: line.length, linesPerFile });
}

/** Which source is which file is ingestion's secret: the sets of lines must be the same, in any order. */
function checkPositions(
  numbers: number[][],
  manifest: PartManifest,
  { lineBytes, linesPerFile }: { lineBytes: number; linesPerFile: number },
): string | undefined {
  const listed = manifest.sources.map(({ intervals }) =>
    intervals.flatMap(([from, to]) =>
      Array.from({ length: (to - from) / lineBytes }, (_, at) => (from / lineBytes + at) % linesPerFile),
    ),
  );
  const normal = (lists: number[][]): string[] =>
    lists
      .filter((list) => list.length > 0)
      .map((list) => list.sort((left, right) => left - right).join())
      .sort();
  const isSame = JSON.stringify(normal(numbers)) === JSON.stringify(normal(listed));
  return isSame ? undefined : "its lines are not those whose positions the manifest lists";
}

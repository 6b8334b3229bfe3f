import { dirname, join } from "node:path";
import { CodedError, present } from "@millrace/errors";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { type Sentiment, sentimentHead } from "./sentiment-head.js";
import { readTextEntry, type TextEntry } from "./text-entry.js";
import { readVerifiedFile } from "@millrace/files";
import { type WordPiece, wordPiece } from "./word-piece.js";

/**
 * Where a model is: its entry in the manifest, its heads and vocabulary beside that, its weights in the
 * cache.
 */
export interface TextModelLocation {
  /** Path of `models/manifest.json`. */
  manifestPath: string;
  /** The directory with one folder a model, as `millrace models pull` fills it. */
  modelsDirectory: string;
  /** The model's name in the manifest. */
  name: string;
}

export interface ModelInfo {
  name: string;
  /** Of the ONNX file. Vectors of different models cannot be compared: store the name beside each. */
  sha256: string;
  dimensions: number;
  similarity: { unrelatedMax: number; similarMin: number };
}

/** `query` is what somebody looks for; everything else is a `passage`. */
export type TextKind = "passage" | "query";

/** The model without its heads. */
export interface TextEmbedder {
  readonly info: ModelInfo;
  /**
   * The embedding of one text, of length 1 where the model normalises. It blocks the thread while the model
   * runs (3 to 200 ms), so it belongs in a worker. The same text gives the same bits, whatever came before
   * it.
   */
  embed(text: string, kind: TextKind): Promise<Float32Array>;
  close(): Promise<void>;
}

export interface TextModel extends TextEmbedder {
  /** The sentiment of the text whose `passage` embedding this is. */
  sentiment(vector: Float32Array): Sentiment;
}

/** @throws CodedError failed_precondition when a file is missing, changed or not the model it should be. */
export async function loadTextModel(location: TextModelLocation): Promise<TextModel> {
  const entry = await readTextEntry(location.manifestPath, location.name);
  const head = await readText(
    join(dirname(location.manifestPath), entry.heads.sentiment.file),
    entry.heads.sentiment,
  );
  const sentiment = sentimentHead(head, { name: entry.name, dimensions: entry.io.dimensions });
  return { ...(await loadEmbedder(location, entry)), sentiment };
}

/** The embedder alone, with the same errors; what a head is trained on. */
export async function loadTextEmbedder(location: TextModelLocation): Promise<TextEmbedder> {
  return loadEmbedder(location, await readTextEntry(location.manifestPath, location.name));
}

async function loadEmbedder(location: TextModelLocation, entry: TextEntry): Promise<TextEmbedder> {
  const { tokenizer: file } = entry;
  const tokenizer = wordPiece(await readText(join(dirname(location.manifestPath), file.file), file));
  const session = await openSession(entry, join(location.modelsDirectory, entry.name));
  return {
    info: modelInfo(entry),
    embed: (text, kind) => embed(text, kind, { entry, tokenizer, session }),
    close: () => session.release(),
  };
}

async function readText(path: string, { sha256 }: { sha256: string }): Promise<string> {
  return new TextDecoder().decode(await readVerifiedFile(path, sha256));
}

export function modelInfo(entry: TextEntry): ModelInfo {
  const { dimensions, similarity } = entry.io;
  return { name: entry.name, sha256: modelFile(entry).sha256, dimensions, similarity };
}

function modelFile({ files, io, name }: TextEntry): TextEntry["files"][number] {
  const file = files.find(({ to }) => to === io.model);
  if (file !== undefined) return file;
  throw new CodedError("failed_precondition", `the manifest lists no file ${io.model} for model ${name}`);
}

/**
 * One thread a session: with two, the second mostly waits, and throughput comes from more workers. The
 * session is made from bytes, so the model cannot name other files to load.
 */
async function openSession(entry: TextEntry, directory: string): Promise<InferenceSession> {
  const file = modelFile(entry);
  const bytes = await readVerifiedFile(join(directory, file.to), file.sha256);
  const options = { intraOpNumThreads: 1, interOpNumThreads: 1, logSeverityLevel: 3 } as const;
  const session = await InferenceSession.create(bytes, options).catch((cause: unknown) => {
    const what = `${join(directory, file.to)} is no ONNX model that this runtime loads`;
    throw new CodedError("failed_precondition", `load model ${entry.name}: ${what}`, { cause });
  });
  const inputsMatch =
    session.inputNames.length === entry.io.inputs.length &&
    entry.io.inputs.every((input) => session.inputNames.includes(input));
  if (inputsMatch && session.outputNames.includes(entry.io.output)) return session;
  await session.release();
  throw new CodedError(
    "failed_precondition",
    `model ${entry.name} has not the inputs and output of its entry`,
  );
}

async function embed(
  text: string,
  kind: TextKind,
  { entry, tokenizer, session }: { entry: TextEntry; tokenizer: WordPiece; session: InferenceSession },
): Promise<Float32Array> {
  const { io } = entry;
  const { ids } = tokenizer.encode(kind === "query" ? io.queryPrefix + text : text, io.maxTokens);
  const shape = [1, ids.length];
  const columns: Record<TextEntry["io"]["inputs"][number], () => BigInt64Array> = {
    input_ids: () => BigInt64Array.from(ids, BigInt),
    attention_mask: () => new BigInt64Array(ids.length).fill(1n),
    token_type_ids: () => new BigInt64Array(ids.length),
  };
  const feeds = Object.fromEntries(
    io.inputs.map((name) => [name, new Tensor("int64", columns[name](), shape)]),
  );
  const output = present((await session.run(feeds, [io.output]))[io.output], `output ${io.output}`);
  const states = output.data;
  if (!(states instanceof Float32Array) || states.length !== ids.length * io.dimensions) {
    throw new CodedError(
      "failed_precondition",
      `model ${entry.name} gave an output of another shape than its entry`,
    );
  }
  const vector = pool(states, io);
  if (io.normalize) normalize(vector);
  return vector;
}

/** One vector from the states of all tokens, packed one after the other: the first token's, or the mean. */
function pool(states: Float32Array, { pooling, dimensions }: TextEntry["io"]): Float32Array {
  if (pooling === "cls") return states.slice(0, dimensions);
  const vector = new Float32Array(dimensions);
  for (let at = 0; at < states.length; at += dimensions) {
    for (let i = 0; i < dimensions; i++) vector[i] = (vector[i] ?? 0) + (states[at + i] ?? 0);
  }
  const tokens = states.length / dimensions;
  for (let i = 0; i < dimensions; i++) vector[i] = (vector[i] ?? 0) / tokens;
  return vector;
}

/** Scales to length 1, in place; the zero vector stays. */
function normalize(vector: Float32Array): void {
  let squares = 0;
  for (const value of vector) squares += value * value;
  const length = Math.sqrt(squares);
  if (length === 0) return;
  for (let i = 0; i < vector.length; i++) vector[i] = (vector[i] ?? 0) / length;
}

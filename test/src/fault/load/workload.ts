import { mkdir, open } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import {
  createStreamProcessor,
  type CreateOptions,
  MillraceError,
  type StreamProcessor,
} from "@millrace/sdk";
import { type Seeded, seeded } from "../../bench/seeded.js";
import type { FaultSystem } from "../system/fault-system.js";
import { type HeldWatch, watchHeld } from "../system/held.js";
import { type History, openHistory } from "./history.js";
import { openUnary, type Unary } from "./unary.js";

/*
 * Workload W: four clients at once, each with messages of its own, paced so that a fault falls among them.
 *
 *   stream   PublishStream: sends again under its sequence numbers until it has the OK
 *   unary    Publish without a key, never sent again: after an error the outcome is unknown
 *   keyed    Publish with an idempotency key, sent again until it has the OK
 *   file     lines appended to a file that a source reads
 */
export interface Load {
  stream: number;
  unary: number;
  keyed: number;
  file: number;
  /** Of each message, in letters. */
  contentBytes?: number;
  /** The time over which each client spreads its messages. */
  spreadMs: number;
}

export interface WorkloadOptions {
  system: FaultSystem;
  stream: string;
  seed: number;
  load: Load;
  outputs?: CreateOptions["outputs"];
  models?: boolean;
  /** Batches of up to a thousand messages, so that their bodies lie in segments. */
  bulk?: boolean;
  /** Deadline of a unary call. Default 3 s. */
  patienceMs?: number;
}

export interface Workload {
  readonly stream: string;
  readonly processor: StreamProcessor;
  readonly history: History;
  /** Resolves when every call has its outcome, with the time by `performance.now`. */
  readonly done: Promise<number>;
  readonly total: number;
  /** Of all services, since it began. */
  readonly held: HeldWatch;
}

export const toStoreAndResults = {
  results: true,
  artifacts: false,
  search: false,
  events: false,
  storage: { format: "lines", rollAge: "1s" },
} as const;

/** At once in each of the clients `unary` and `keyed`. */
const callsMax = 4;
/** In which the clients `stream` and `file` spread their messages. */
const bursts = 30;
/** Before a keyed call is sent again. */
const againMs = 100;

export async function startWorkload(options: WorkloadOptions): Promise<Workload> {
  const { system, stream, load, models = false } = options;
  const held = watchHeld(system.services());
  const dir = join(system.stateDir, "input", stream);
  await mkdir(dir, { recursive: true });
  const create: CreateOptions = {
    enrichments: { embeddings: models, sentiment: models },
    outputs: options.outputs ?? toStoreAndResults,
    // Small batches are many, spread over every hop when the fault comes; large ones lie in segments.
    ...(options.bulk === true
      ? { batchSize: 1_000, processingMode: "batch" }
      : { batchSize: 10, processingMode: "real_time" }),
  };
  const processor = await whenUp(() => createStreamProcessor(stream, system.client, create));
  if (load.file > 0) {
    const source = { path: dir, pattern: "*.jsonl", pollInterval: "50ms" };
    await whenUp(() => processor.addFileSource(source));
  }
  const history = await openHistory(join(system.stateDir, "history", `${stream}.jsonl`));
  const unary = openUnary(system.grpcAddress, options.patienceMs);
  const client: Client = { ...options, processor, history, unary, dir, random: seeded(options.seed) };
  const done = Promise.all([sendStream(client), sendUnary(client), sendKeyed(client), writeFile(client)])
    .then(() => performance.now())
    .finally(() => unary.close());
  // Whoever ends before it is awaited is not ended by it.
  done.catch(() => undefined);
  const total = load.stream + load.unary + load.keyed + load.file;
  return { stream, processor, history, done, total, held };
}

/** A client waits up to a second before it looks for a gateway that was away again. */
async function whenUp<T>(call: () => Promise<T>): Promise<T> {
  for (let left = 20; ; left--) {
    try {
      return await call();
    } catch (caught) {
      if (left === 0 || !(caught instanceof MillraceError) || caught.code !== "unavailable") throw caught;
      await sleep(againMs);
    }
  }
}

/** Takes away what a judged run leaves: its publish stream, its sources, and the stream with all it has. */
export async function endWorkload({ client }: FaultSystem, { processor, stream }: Workload): Promise<void> {
  await processor.close();
  await whenUp(() => client.streams.delete(stream));
}

interface Client extends WorkloadOptions {
  processor: StreamProcessor;
  history: History;
  unary: Unary;
  dir: string;
  random: Seeded;
}

/** Letters only: nothing that a detector could take for personal data. */
const alphabet = "abcdefghijklmnopqrstuvwxyz     ";

function begin(
  client: Client,
  source: "stream" | "unary" | "keyed" | "file",
  position: number,
): { id: string; text: string } {
  const id = `${source} ${position}`;
  let text = `${id} of ${client.stream} `;
  const bytes = client.load.contentBytes ?? 60;
  while (text.length < bytes) text += alphabet[client.random() % alphabet.length];
  const content = text.trimEnd();
  client.history.note({ kind: "invoke", id, source, position, content });
  return { id, text: content };
}

/** The id that a stored text begins with. */
export function idOf(text: string): string {
  return /^[a-z]+ \d+/.exec(text)?.[0] ?? text;
}

async function sendStream(client: Client): Promise<void> {
  const { load, processor, history } = client;
  const atOnce = Math.ceil(load.stream / bursts);
  const sending: Promise<void>[] = [];
  for (let at = 0; at < load.stream; at += atOnce) {
    const messages = Array.from({ length: Math.min(atOnce, load.stream - at) }, (_, index) =>
      begin(client, "stream", at + index),
    );
    sending.push(
      ...messages.map(async ({ id, text }) => {
        const outcome = processor.publish(text).then(
          () => "ok" as const,
          () => "unknown" as const,
        );
        history.note({ kind: await outcome, id });
      }),
    );
    await sleep(load.spreadMs / bursts);
  }
  await Promise.all(sending);
}

async function sendUnary(client: Client): Promise<void> {
  const { load, unary, history, stream } = client;
  await spread(load.unary, load.spreadMs, async (position) => {
    const { id, text } = begin(client, "unary", position);
    history.note({ kind: (await unary.publish({ stream, text })).kind, id });
  });
}

async function sendKeyed(client: Client): Promise<void> {
  const { load, unary, history, stream } = client;
  await spread(load.keyed, load.spreadMs, async (position) => {
    const { id, text } = begin(client, "keyed", position);
    for (;;) {
      const { kind } = await unary.publish({ stream, text, idempotencyKey: id });
      if (kind === "ok") return history.note({ kind, id });
      await sleep(againMs);
    }
  });
}

/** `callsMax` at once, each waiting for its outcome and then for its turn. */
async function spread(count: number, spreadMs: number, call: (position: number) => Promise<void>) {
  let next = 0;
  const caller = async (): Promise<void> => {
    while (next < count) {
      await call(next++);
      await sleep((spreadMs * callsMax) / count);
    }
  };
  await Promise.all(Array.from({ length: callsMax }, caller));
}

/** A line counts as sent once it is durable in its file: a source reads on until it has all of them. */
async function writeFile(client: Client): Promise<void> {
  const { load, history, dir } = client;
  if (load.file === 0) return;
  const file = await open(join(dir, "input.jsonl"), "a");
  try {
    const atOnce = Math.ceil(load.file / bursts);
    for (let at = 0; at < load.file; at += atOnce) {
      const lines = Array.from({ length: Math.min(atOnce, load.file - at) }, (_, index) =>
        begin(client, "file", at + index),
      );
      await file.appendFile(lines.map(({ text }) => `${text}\n`).join(""));
      for (const { id } of lines) history.note({ kind: "ok", id });
      await sleep(load.spreadMs / bursts);
    }
    await file.datasync();
  } finally {
    await file.close();
  }
}

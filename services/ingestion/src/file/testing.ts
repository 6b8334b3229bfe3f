import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import type { CodedError } from "@millrace/errors";
import type { Kind } from "@millrace/proto/batch";
import { type BlockPool, createBlockPool } from "./block-pool.js";
import type { FileFormat } from "./content/open-content.js";
import { createFileSource, type FileSourceTuning, type SourceFile } from "./file-source.js";
import { defaultFrameLimits, type Frame } from "./lines/line-framer.js";

interface Appended {
  key: string;
  name: string;
  from: number;
  to: number;
  text: string;
  /** Each message. */
  rows: string[];
  kind: Kind | undefined;
}

/** Large blocks of 1 MiB, and small ones of the same size. */
export function createPool(blocks: number, headBytes = defaultFrameLimits.messageBytesMax): BlockPool {
  const { bodyBytesMax: readBytes } = defaultFrameLimits;
  const bytesMax = blocks * (headBytes + readBytes + 1);
  return createBlockPool({ headBytes, readBytes, smallReadBytes: readBytes, bytesMax });
}

export interface SetUpOptions {
  repeat?: number;
  pool?: BlockPool;
  pattern?: string;
  format?: FileFormat;
}

/** A directory, a source over it and a stand-in for buffer that remembers; time passes only in sleeps. */
export async function setUp(
  t: TestContext,
  tuning: Partial<FileSourceTuning> = {},
  { repeat = 1, pool = createPool(8), pattern = "*.jsonl", format = { kind: "lines" } }: SetUpOptions = {},
) {
  const directory = await mkdtemp(join(tmpdir(), "file-source-"));
  const appended: Appended[] = [];
  const sleeps: number[] = [];
  const buffer = {
    positions: new Map<string, number>(),
    refuse: (_frame: Frame, _file: SourceFile): CodedError | undefined => undefined,
    attempts: [] as string[],
    /** The memory of the bodies that were offered. */
    bodies: new Set<ArrayBufferLike>(),
    rejected: [] as [number, number][],
    reasons: [] as string[],
  };
  let nowMs = 0;
  const create = () =>
    createFileSource({
      tenant: "default",
      stream: "lines",
      path: directory,
      pattern,
      format,
      pollIntervalMs: 1000,
      repeat,
      roots: [directory],
      now: () => nowMs,
      random: () => 0.5,
      sleep: (ms, signal) => {
        sleeps.push(ms);
        return new Promise((resolve) => {
          setImmediate(() => {
            if (!signal.aborted) nowMs += ms;
            resolve();
          });
        });
      },
      lastPosition: async (key) => buffer.positions.get(key) ?? 0,
      append: async (frame, { key, name }) => {
        const text = Buffer.from(frame.body).toString();
        buffer.attempts.push(`${name}:${frame.positionFrom}-${frame.positionTo}`);
        buffer.bodies.add(frame.body.buffer);
        const refusal = buffer.refuse(frame, { key, name });
        if (refusal !== undefined) throw refusal;
        const { positionFrom: from, positionTo: to } = frame;
        appended.push({ key, name, from, to, text, rows: rowsOf(frame), kind: frame.packed?.kind });
        buffer.positions.set(key, frame.positionTo);
      },
      reject: async ({ positionFrom, positionTo, reason }, { key }) => {
        buffer.reasons.push(reason);
        buffer.rejected.push([positionFrom, positionTo]);
        buffer.positions.set(key, positionTo);
      },
      pool,
      tuning: { ...tuning },
    });
  const source = create();
  t.after(async () => {
    await source.close();
    await rm(directory, { recursive: true, force: true });
  });
  const path = (name: string): string => join(directory, name);
  const texts = (): string[] => appended.map(({ text }) => text);
  const rows = (): string[] => appended.flatMap((each) => each.rows);
  return { directory, path, source, create, appended, texts, rows, sleeps, buffer };
}

function rowsOf({ body, lengths, packed }: Frame): string[] {
  let at = 0;
  return [...lengths].map((length) => {
    const row = Buffer.from(body.subarray(at, at + length)).toString();
    at += length + (packed === undefined ? 1 : 0);
    return row;
  });
}

/** Waits for what the file system and the source do at their own pace; the bound only ends a failing test. */
export async function eventually(what: string, condition: () => boolean): Promise<void> {
  const deadlineMs = performance.now() + 20_000;
  while (!condition()) {
    assert.ok(performance.now() < deadlineMs, `never: ${what}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

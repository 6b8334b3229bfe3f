import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import type { CodedError } from "@millrace/errors";
import { type BlockPool, createBlockPool } from "./block-pool.js";
import { createFileSource, type FileSourceTuning, type SourceFile } from "./file-source.js";
import { defaultFrameLimits, type Frame } from "./lines/line-framer.js";

interface Appended {
  key: string;
  name: string;
  from: number;
  to: number;
  text: string;
}

/** Large blocks of 1 MiB, and small ones of the same size. */
export function createPool(blocks: number): BlockPool {
  const { messageBytesMax: headBytes, bodyBytesMax: readBytes } = defaultFrameLimits;
  const bytesMax = blocks * (headBytes + readBytes + 1);
  return createBlockPool({ headBytes, readBytes, smallReadBytes: readBytes, bytesMax });
}

/** A directory, a source over it and a stand-in for buffer that remembers; time passes only in sleeps. */
export async function setUp(
  t: TestContext,
  tuning: Partial<FileSourceTuning> = {},
  { repeat = 1, pool = createPool(8) }: { repeat?: number; pool?: BlockPool } = {},
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
  };
  let nowMs = 0;
  const create = () =>
    createFileSource({
      tenant: "default",
      stream: "lines",
      path: directory,
      pattern: "*.jsonl",
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
        appended.push({ key, name, from: frame.positionFrom, to: frame.positionTo, text });
        buffer.positions.set(key, frame.positionTo);
      },
      reject: async ({ positionFrom, positionTo }, { key }) => {
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
  return { directory, path, source, create, appended, texts, sleeps, buffer };
}

/** Waits for what the file system and the source do at their own pace; the bound only ends a failing test. */
export async function eventually(what: string, condition: () => boolean): Promise<void> {
  const deadlineMs = performance.now() + 20_000;
  while (!condition()) {
    assert.ok(performance.now() < deadlineMs, `never: ${what}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

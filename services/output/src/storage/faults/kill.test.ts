import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { contentHash } from "@millrace/files";
import { readParquet } from "./read-parquet.js";
import type { Manifest } from "../spool/part.js";
import { openStorageSink } from "../storage-sink.js";
import { createRandom } from "@millrace/segments/testing";

const writer = fileURLToPath(new URL("./kill-writer.js", import.meta.url));
/** Seeds 9 and 10 store Parquet. */
const seeds = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10];
const formatOf = (seed: number) => (seed > 8 ? "parquet" : "lines");
type Format = ReturnType<typeof formatOf>;
const killsPerSeed = 3;
const acksMax = 60;

/**
 * Lets a writer run until it has acked so many times, kills it, and answers the last position that it acked.
 */
async function runAndKill(
  root: string,
  start: number,
  of: { seed: number; acks: number; format: Format },
): Promise<number> {
  const child = spawn(process.execPath, [writer, root, String(start), String(of.seed), of.format], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const exited = once(child, "exit");
  let acked = start;
  let acks = 0;
  for await (const line of createInterface({ input: child.stdout })) {
    acked = Number(line);
    acks += 1;
    if (acks === of.acks) child.kill("SIGKILL");
  }
  assert.deepEqual(await exited, [null, "SIGKILL"], "the writer ends by the kill only");
  return acked;
}

/** Publishes what is left, as the next start of the service would. */
async function finish(root: string, acked: number, format: Format): Promise<void> {
  const sink = await openStorageSink({
    root,
    tenant: "acme",
    stream: "orders",
    writer: "w1",
    format,
    rollBytes: 1,
    loadSettled: async () => [{ from: 0, to: acked }],
    settledElsewhere: () => [],
    findingName: String,
    now: () => 0,
  });
  assert.deepEqual([sink.recovery.damaged, sink.recovery.unclaimed, sink.recovery.vanished], [[], [], []]);
  await sink.commit();
  await sink.rollIfDue();
  await sink.close();
}

async function visiblePositions(directory: string): Promise<number[]> {
  const positions: number[] = [];
  for (const path of await readdir(directory, { recursive: true })) {
    const name = /^(?:date=[\d-]+\/)?part-.*(?=\.(?:jsonl|parquet)$)/.exec(path)?.[0];
    if (name === undefined) continue;
    const bytes = await readFile(join(directory, path));
    const isParquet = path.endsWith(".parquet");
    const manifestPath = join(directory, `${name.replace("/", "/_")}.manifest.json`);
    const manifest = JSON.parse(await readFile(manifestPath, "utf8")) as Manifest;
    assert.equal(contentHash(bytes), manifest.blake3);
    const lines = isParquet
      ? (await readParquet(bytes)).map(({ text }) => String(text))
      : bytes.toString().split("\n").slice(0, -1);
    assert.equal(lines.length, manifest.messages);
    for (const line of lines) {
      const position = Number(line.split(" ")[0]);
      assert.equal(line, `${position} ${"x".repeat(position % 211)}`);
      positions.push(position);
    }
  }
  return positions;
}

for (const seed of seeds) {
  test(`a writer killed at random moments stores each acked row once (seed ${seed})`, async () => {
    const root = await mkdtemp(join(tmpdir(), "millrace-kill-"));
    const directory = join(root, "acme", "orders");
    const random = createRandom(seed);
    try {
      let acked = 0;
      for (let kill = 0; kill < killsPerSeed; kill += 1) {
        const acks = 1 + Math.floor(random() * acksMax);
        acked = await runAndKill(root, acked, { seed: seed * 10 + kill, acks, format: formatOf(seed) });
        await visiblePositions(directory);
      }
      await finish(root, acked, formatOf(seed));
      const positions = await visiblePositions(directory);
      const seen = new Set(positions);
      assert.equal(seen.size, positions.length, "no row is stored twice");
      for (let position = 0; position < acked; position += 1)
        assert.ok(seen.has(position), `${position} is stored`);
    } finally {
      await rm(root, { recursive: true });
    }
  });
}

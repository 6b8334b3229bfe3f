import { mkdtemp, open, rm } from "node:fs/promises";
import { join } from "node:path";
import { makeBatch } from "../storage/faults/make-batch.js";
import { openStorageSink } from "../storage/storage-sink.js";

/*
 * What continuous storage costs over the bare disk: 1 MiB batches of 1 KiB lines into 64 MiB files, synced
 * each 16 MiB. `node dist/bench/store-lines.js <directory> [MiB]` prints one JSON object, rates in MB/s
 * (10^6). The bare rate is that of the same writes and syncs, without hash, checksum, journal and manifest.
 */
const [parent = ".", mebibytes = "1024"] = process.argv.slice(2);
const batches = Number(mebibytes);
const batchBytes = 1024 * 1024;
const batchesPerCommit = 16;
const batchesPerPart = 64;

const lines = Array.from({ length: 1024 }, (_, row) => `${row} `.padEnd(1023, "abcdefghijklmnopqrstuvwxyz"));
const positionDeltas = lines.map(() => 1024);

async function measure(work: (root: string) => Promise<void>): Promise<{ rate: number; cpu: number }> {
  const root = await mkdtemp(join(parent, "bench-store-"));
  const cpuBefore = process.cpuUsage();
  const startedMs = performance.now();
  await work(root);
  const seconds = (performance.now() - startedMs) / 1000;
  const { user, system } = process.cpuUsage(cpuBefore);
  await rm(root, { recursive: true });
  const bytes = batches * batchBytes;
  return {
    rate: Math.round(bytes / seconds / 1e6),
    cpu: Number(((user + system) / 1e6 / (bytes / 1e9)).toFixed(2)),
  };
}

async function store(root: string): Promise<void> {
  const sink = await openStorageSink({
    root,
    tenant: "acme",
    stream: "orders",
    writer: "w1",
    format: "lines",
    loadSettled: async () => [],
    settledElsewhere: () => [],
    findingName: String,
    now: () => Math.round(performance.timeOrigin + performance.now()),
  });
  const batch = makeBatch(lines, { positionDeltas });
  const reach = batch.header.positionTo;
  let committing: Promise<unknown> = Promise.resolve();
  for (let index = 0; index < batches; index += 1) {
    const header = { ...batch.header, positionFrom: index * reach, positionTo: (index + 1) * reach };
    await sink.stage({ ...batch, header });
    if ((index + 1) % batchesPerCommit !== 0) continue;
    await committing;
    committing = sink.commit().then(() => sink.rollIfDue());
  }
  await committing;
  await sink.commit();
  await sink.close();
}

async function writeBare(root: string): Promise<void> {
  const { body } = makeBatch(lines);
  for (let part = 0; part < batches / batchesPerPart; part += 1) {
    const file = await open(join(root, String(part)), "wx");
    for (let index = 0; index < batchesPerPart; index += 1) {
      await file.writev([body], index * batchBytes);
      if ((index + 1) % batchesPerCommit === 0) await file.datasync();
    }
    await file.close();
  }
}

const bare = await measure(writeBare);
const sink = await measure(store);
const result = {
  bench: "store-lines",
  mb_per_s: sink.rate,
  cpu_s_per_gb: sink.cpu,
  bare_mb_per_s: bare.rate,
};
process.stdout.write(`${JSON.stringify({ ...result, bare_cpu_s_per_gb: bare.cpu })}\n`);

import assert from "node:assert/strict";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { OpenBatch } from "@millrace/envelope";
import { contentHash } from "@millrace/files";
import { Framing, Kind, SentimentLabel } from "@millrace/proto/batch";
import { createMemoryDisk, createRandom, type Fault, type MemoryDisk } from "@millrace/segments/testing";
import { encodeRecords } from "../encode-records.js";
import { makeBatch } from "../faults/make-batch.js";
import { readParquet } from "../faults/read-parquet.js";
import type { Manifest } from "../spool/part.js";
import { openStorageSink, type StorageSink, type StorageSinkOptions } from "../storage-sink.js";

const begun = Date.UTC(2026, 1, 28, 23, 59, 59);
const folder = "acme/orders/date=2026-02-28";

function openSink(options: Partial<StorageSinkOptions>): Promise<StorageSink> {
  return openStorageSink({
    root: "/store",
    tenant: "acme",
    stream: "orders",
    writer: "w1",
    format: "parquet",
    loadSettled: async () => [],
    settledElsewhere: () => [],
    findingName: () => "EMAIL",
    now: () => begun,
    ...options,
  });
}

/** Whatever is hard to keep, with each kind of analysis. */
function badBatch(): OpenBatch {
  const texts = ["", "null \0 byte\n\r", "\uFEFFmark 😀 \u2028", "x".repeat(6_000_000), "last"];
  const open = makeBatch([...texts, "??", "??"], { framing: Framing.FRAMING_PACKED, positionFrom: 2 ** 40 });
  const body = Buffer.from(open.body);
  body.set([0xff, 0x00, 0xc3, 0x28], body.length - 4);
  const attributes = [
    { name: "__proto__", rows: [1, 4], values: ["{}", '"\\\n'] },
    { name: "1", rows: [1], values: [""] },
  ];
  const none = new Uint32Array();
  const rows = Uint32Array.of(4);
  return {
    ...open,
    body,
    columns: {
      ...open.columns,
      kinds: [...texts.map(() => Kind.KIND_TEXT), Kind.KIND_TEXT, Kind.KIND_DATA],
      attributes,
      eventTimeBaseMs: -1,
    },
    annotations: {
      ...open.annotations,
      findings: {
        rows,
        types: Uint32Array.of(1),
        starts: Uint32Array.of(0),
        lengths: Uint32Array.of(4),
        nameRows: none,
        nameTypes: none,
        omittedRows: none,
        omitted: none,
      },
      sentiments: {
        rows,
        labels: [SentimentLabel.SENTIMENT_LABEL_POSITIVE],
        scores: Float32Array.of(0.5),
        model: "m",
      },
    } as unknown as OpenBatch["annotations"],
  };
}

/** What a record says, as columns have it. */
function asColumns(line: string): Record<string, unknown> {
  const { event_time, data, attributes, findings, sentiment, ...record } = JSON.parse(line);
  return {
    ...record,
    position: BigInt(record.position),
    reach: 1n,
    event_time: new Date(event_time),
    kind: data === undefined ? "text" : "data",
    ...(data !== undefined && { data: Uint8Array.from(Buffer.from(data, "base64")) }),
    ...(attributes && { attributes: JSON.stringify(attributes) }),
    ...(findings && { findings: JSON.stringify(findings) }),
    ...(sentiment && {
      sentiment_label: sentiment.label,
      sentiment_score: sentiment.score,
      sentiment_model: sentiment.model,
    }),
  };
}

test("rows read out of Parquet files are those that were stored, bad values and all", async () => {
  const root = await mkdtemp(join(tmpdir(), "millrace-parquet-"));
  try {
    const sink = await openSink({ root, rollBytes: 1_000_000 });
    const bad = badBatch();
    await sink.stage(bad);
    await sink.stage(makeBatch(["in another part"]));
    await sink.commit();
    await sink.rollAll();
    await sink.close();
    const names = (await readdir(join(root, folder))).sort();
    assert.deepEqual(names, [
      "_part-w1-00000000.manifest.json",
      "_part-w1-00000001.manifest.json",
      "part-w1-00000000.parquet",
      "part-w1-00000001.parquet",
    ]);
    const wanted = [bad, makeBatch(["in another part"])].map((open) =>
      Buffer.concat(encodeRecords(open, [{ from: 0, to: open.header.count }], () => "EMAIL").bytes)
        .toString()
        .split("\n")
        .slice(0, -1)
        .map(asColumns),
    );
    for (const [at, rows] of wanted.entries()) {
      const part = await readFile(join(root, folder, `part-w1-0000000${at}.parquet`));
      assert.deepEqual(await readParquet(part), rows);
      const told = await readFile(join(root, folder, `_part-w1-0000000${at}.manifest.json`), "utf8");
      const { file, messages, bytes, blake3, format } = JSON.parse(told) as Manifest;
      assert.deepEqual([file, format], [`part-w1-0000000${at}.parquet`, "parquet"]);
      assert.deepEqual([messages, bytes, blake3], [rows.length, part.length, contentHash(part)]);
    }
  } finally {
    await rm(root, { recursive: true });
  }
});

test("a file ends with its day, and one that is not to stay goes with its manifest", async () => {
  const disk = createMemoryDisk();
  let now = begun;
  const sink = await openSink({ disk, now: () => now, retainBytes: 1 });
  await sink.stage(makeBatch(["old"]));
  await sink.commit();
  now += 1000;
  await sink.rollIfDue();
  assert.equal(disk.list(`/store/${folder}`).length, 2);
  await sink.stage(makeBatch(["new"], { positionFrom: 1 }));
  await sink.commit();
  await sink.rollAll();
  assert.deepEqual(disk.list(`/store/${folder}`), []);
  assert.equal(disk.list("/store/acme/orders/date=2026-03-01").length, 2);
  const again = await openSink({ disk, now: () => now, retainBytes: 1 });
  await again.stage(makeBatch(["newer"], { positionFrom: 2 }));
  await again.commit();
  await again.rollAll();
  assert.deepEqual(disk.list("/store/acme/orders/date=2026-03-01"), [
    "_part-w1-00000002.manifest.json",
    "part-w1-00000002.parquet",
  ]);
});

const texts = Array.from({ length: 6 }, (_, at) => `row ${at}`);

/** Answers how many rows were committed when it ended, by itself or by the fault. */
async function work(disk: MemoryDisk): Promise<number> {
  let committed = 0;
  try {
    const sink = await openSink({ disk, rollBytes: 500 });
    for (const [at, text] of texts.entries()) {
      await sink.stage(makeBatch([text], { positionFrom: at }));
      if (at % 2 === 0) continue;
      await sink.commit();
      committed = at + 1;
      await sink.rollIfDue();
    }
    await sink.rollAll();
  } catch {
    // The fault ends it.
  }
  return committed;
}

async function storedTexts(disk: MemoryDisk): Promise<unknown[]> {
  const stored: unknown[] = [];
  for (const name of disk.list(`/store/${folder}`).filter((each) => each.endsWith(".parquet"))) {
    const bytes = disk.contents(`/store/${folder}/${name}`);
    const told = disk.contents(`/store/${folder}/_${name.replace(".parquet", ".manifest.json")}`).toString();
    const { blake3, messages } = JSON.parse(told) as Manifest;
    assert.equal(contentHash(bytes), blake3);
    const rows = await readParquet(bytes);
    assert.equal(rows.length, messages);
    for (const { text } of rows) stored.push(text);
  }
  return stored;
}

test("a fault at any call of the disk leaves every committed row in one file, once", async () => {
  const whole = createMemoryDisk();
  assert.equal(await work(whole), texts.length);
  for (let call = 1; call <= whole.calls(); call += 1) {
    for (const fault of ["crash", "EIO", "ENOSPC"] as const satisfies readonly Fault[]) {
      const disk = createMemoryDisk();
      disk.breakAt(call, fault);
      const committed = await work(disk);
      if (fault === "crash") disk.powerCut(createRandom(call));
      else disk.restart();
      await storedTexts(disk);
      // A day later: what was begun before stays in the folder of its day.
      const sink = await openSink({ disk, now: () => begun + 86_400_000 });
      assert.deepEqual([sink.recovery.damaged, sink.recovery.vanished], [[], []]);
      await sink.rollAll();
      const stored = await storedTexts(disk);
      assert.equal(new Set(stored).size, stored.length, `call ${call}, ${fault}: twice`);
      for (const text of texts.slice(0, committed))
        assert.ok(stored.includes(text), `${call}, ${fault}: ${text}`);
    }
  }
});

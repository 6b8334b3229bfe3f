import assert from "node:assert/strict";
import { test } from "node:test";
import { createMemoryDisk, type MemoryDisk } from "@millrace/segments/testing";
import { createLayout } from "./layout.js";
import { recoverSpools, type Recovery } from "./recover.js";
import { createSpool, type Spool } from "./spool.js";

const layout = createLayout({ root: "/store", tenant: "t", stream: "s", writer: "w1" });
const now = (): number => 5000;

function recover(disk: MemoryDisk): Promise<Recovery> {
  return recoverSpools({ disk, layout, now, settledElsewhere: () => [] });
}

/** A spool with three committed entries of one row each. */
async function threeEntries(disk: MemoryDisk): Promise<Spool> {
  const spool = await createSpool({ disk, layout, now }, { number: 0, format: "lines" });
  for (const [at, text] of ["one\n", "two\n", "six\n"].entries()) {
    const intervals = [{ from: at, to: at + 1 }];
    await spool.append({
      source: "a",
      intervals,
      messages: 1,
      deltas: new Uint32Array(),
      bytes: [Buffer.from(text)],
      keyed: "",
    });
  }
  await spool.commit();
  return spool;
}

/** Puts the byte where the disk will not notice. */
async function overwrite(disk: MemoryDisk, path: string, [at, byte]: [number, number]): Promise<void> {
  const file = await disk.open(path, "existing");
  await file.writev([Buffer.from([byte])], at);
  await file.fdatasync();
}

async function roll(spool: Spool | undefined): Promise<void> {
  if ((await spool?.seal()) !== undefined) await spool?.publish();
}

test("a damaged entry is set aside and its neighbours are published", async () => {
  const disk = createMemoryDisk();
  await (await threeEntries(disk)).close();
  await overwrite(disk, layout.data(0), [5, 0x57]);
  const recovery = await recover(disk);
  const copy = `${layout.quarantineDir}/w1-0-4.bytes`;
  const intervals = [{ from: 1, to: 2 }];
  assert.deepEqual(recovery.damaged, [{ source: "a", intervals, messages: 1, number: 0, copy }]);
  assert.equal(disk.contents(copy).toString(), "tWo\n");
  await roll(recovery.spools[0]);
  assert.equal(disk.contents(layout.part(0)).toString(), "one\nsix\n");
});

test("each byte of a journal can be damaged: what it no longer vouches for is set aside", async () => {
  const whole = createMemoryDisk();
  await (await threeEntries(whole)).close();
  const length = whole.contents(layout.journal(0)).length;
  for (let at = 0; at < length; at += 1) {
    const disk = createMemoryDisk();
    await (await threeEntries(disk)).close();
    await overwrite(disk, layout.journal(0), [at, 0x21]);
    const recovery = await recover(disk);
    assert.ok(recovery.badLines > 0 || at === length - 1, `damage at byte ${at} is noticed`);
    const copies = recovery.unclaimed.filter((path) => path.endsWith(".bytes"));
    const aside = copies.map((path) => disk.contents(path).toString());
    for (const spool of recovery.spools) await roll(spool);
    const rows = disk.contents(layout.part(0)).toString() + aside.join("");
    assert.deepEqual(rows.match(/.../g)?.length, at === length - 1 ? 2 : 3);
  }
});

test("a journal cut at any byte keeps the entries before the cut", async () => {
  const whole = createMemoryDisk();
  await (await threeEntries(whole)).close();
  const journal = whole.contents(layout.journal(0)).toString();
  for (let cut = 0; cut <= journal.length; cut += 1) {
    const disk = createMemoryDisk();
    await (await threeEntries(disk)).close();
    await (await disk.open(layout.journal(0), "existing")).truncate(cut);
    const lines = journal.slice(0, cut).split("\n").length - 1;
    const recovery = await recover(disk);
    assert.equal(recovery.entries.length, Math.max(0, lines - 1));
    assert.deepEqual(recovery.damaged, []);
  }
});

test("a sealed spool whose bytes are not as sealed is opened again", async () => {
  const disk = createMemoryDisk();
  await roll(await threeEntries(disk));
  const [done] = disk.list(layout.doneDir);
  await disk.rename(`${layout.doneDir}/${done}`, layout.journal(0));
  await disk.rename(layout.part(0), layout.data(0));
  await overwrite(disk, layout.data(0), [0, 0x4f]);
  const recovery = await recover(disk);
  assert.equal(recovery.damaged.length, 1);
  await roll(recovery.spools[0]);
  assert.equal(disk.contents(layout.part(0)).toString(), "two\nsix\n");
});

test("a part that its reader took away before the crash was cleaned up is not missed", async () => {
  const disk = createMemoryDisk();
  const spool = await threeEntries(disk);
  await roll(spool);
  const [done] = disk.list(layout.doneDir);
  await disk.rename(`${layout.doneDir}/${done}`, layout.journal(0));
  await disk.unlink(layout.part(0));
  const recovery = await recover(disk);
  assert.deepEqual([recovery.vanished, recovery.spools.length], [[0], 0]);
  assert.equal((await recover(disk)).nextNumber, 1);
});

test("a visible file that is not the sealed one is not replaced", async () => {
  const disk = createMemoryDisk();
  const spool = await threeEntries(disk);
  await roll(spool);
  const [done] = disk.list(layout.doneDir);
  await disk.rename(`${layout.doneDir}/${done}`, layout.journal(0));
  await disk.rename(layout.part(0), layout.data(0));
  await disk.open(layout.part(0), "create");
  await assert.rejects(recover(disk), { code: "failed_precondition", field: "part-w1-00000000.jsonl" });
});

test("files of other writers are left alone, whatever they are called", async () => {
  const disk = createMemoryDisk();
  const names = ["w1-00000001-00000002.data", "w10-00000001.data", "w-00000001.journal", "w1-1.data"];
  for (const name of names) await disk.open(`${layout.spoolDir}/${name}`, "create");
  const recovery = await recover(disk);
  assert.equal(recovery.nextNumber, 0);
  assert.deepEqual(disk.list(layout.spoolDir), [...names].sort());
});

test("bytes without a journal are kept for a person to look at", async () => {
  const disk = createMemoryDisk();
  await (await threeEntries(disk)).close();
  await disk.unlink(layout.journal(0));
  await recover(disk);
  assert.deepEqual(disk.list(layout.quarantineDir), ["w1-00000000.data"]);
});

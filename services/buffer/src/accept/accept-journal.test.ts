import assert from "node:assert/strict";
import { appendFile, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { openAcceptJournal } from "./accept-journal.js";
import { type Accepted, acceptLine } from "./accept-line.js";

const entry = (from: number): Accepted => ({
  tenant: "t",
  stream: "s",
  createdMs: 7,
  source: "0f",
  from,
  to: from + 10,
  count: 10,
  bytes: 500,
});

describe("accept journal", () => {
  let dir = "";
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), "journal-"));
  });
  afterEach(() => rm(dir, { recursive: true, force: true }));

  it("replays what was appended, without being closed", async () => {
    const journal = await openAcceptJournal({ dir });
    await Promise.all([0, 10, 20].map((from) => journal.append(entry(from))));
    assert.deepEqual((await openAcceptJournal({ dir })).replayed, [0, 10, 20].map(entry));
    await journal.close();
  });

  it("forgets what was flushed and keeps what came meanwhile", async () => {
    const journal = await openAcceptJournal({ dir });
    await journal.append(entry(0));
    await journal.rotate(() => journal.append(entry(10)));
    await journal.close();
    assert.deepEqual((await openAcceptJournal({ dir })).replayed, [entry(10)]);
  });

  it("keeps everything where the flush fails", async () => {
    const journal = await openAcceptJournal({ dir });
    await journal.append(entry(0));
    await assert.rejects(journal.rotate(() => Promise.reject(new Error("away"))));
    await journal.close();
    assert.deepEqual((await openAcceptJournal({ dir })).replayed, [entry(0)]);
  });

  it("leaves out a line that a crash cut short", async () => {
    const journal = await openAcceptJournal({ dir });
    await journal.append(entry(0));
    await journal.close();
    await appendFile(
      join(dir, "accepted-0.log"),
      acceptLine.format({ ...entry(10), number: 2 }).slice(0, -5),
    );
    const next = await openAcceptJournal({ dir });
    assert.deepEqual([next.replayed, next.damaged], [[entry(0)], 0]);
    await next.append(entry(20));
    assert.deepEqual((await openAcceptJournal({ dir })).replayed, [entry(0), entry(20)]);
  });

  it("leaves out and counts a line that is not what was written", async () => {
    const lines = [0, 10, 20].map((from) => acceptLine.format({ ...entry(from), number: from }));
    lines[1] = "t s 0f 10 t s 0f 20 30 10 500\n";
    await writeFile(join(dir, "accepted-1.log"), lines.join(""));
    const journal = await openAcceptJournal({ dir });
    assert.deepEqual([journal.replayed, journal.damaged], [[entry(0), entry(20)], 1]);
  });
});

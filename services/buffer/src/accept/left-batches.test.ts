import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import { CodedError } from "@millrace/errors";
import { idText } from "@millrace/envelope";
import { buildBatch } from "@millrace/envelope/testing";
import type { Batch } from "@millrace/proto/batch";
import { systemClock } from "@millrace/runtime";
import { eventually } from "@millrace/runtime/testing";
import { createLeasedWriter, type LeasingBodyStore, openLeasingBodyStore } from "@millrace/segments";
import { localLeases } from "@millrace/segments/testing";
import { createLeftBatches } from "./left-batches.js";

const mib = 1024 * 1024;
const leaseMs = 10_000;

/** Segments of a node with writers, and a bus on which one stream is full. */
async function workbench(t: TestContext) {
  const sideDir = mkdtempSync(join(tmpdir(), "millrace-left-"));
  const clock = { ms: 0 };
  const accepted: string[] = [];
  const full = new Set(["full"]);
  const left = createLeftBatches({
    isOvertaken: async () => false,
    accept: async ({ header }: Batch) => {
      if (header === undefined) throw new CodedError("invalid_argument", "no header");
      if (full.has(header.stream)) throw new CodedError("resource_exhausted", "append: the stream is full");
      accepted.push(header.stream);
      return {
        id: idText(header.id),
        published: { jetStream: "RAW", seq: accepted.length, duplicate: false },
      };
    },
    // A wait takes a moment here, unless it is ended: no test counts on how long.
    sleep: (ms, signal) => systemClock.sleep(ms / 100, signal),
    log: { warn: () => undefined, error: (sentence) => assert.fail(sentence) },
  });
  const stores: LeasingBodyStore[] = [];
  const openOwner = async (epoch: number): Promise<LeasingBodyStore> => {
    const store: LeasingBodyStore = await openLeasingBodyStore({
      sideDir,
      side: "raw",
      owner: "buffer-0",
      node: "local",
      segmentBytes: mib,
      liveBytesMax: 8 * mib,
      epoch,
      leaseMs,
      monotonic: () => clock.ms,
      onLeft: (batches) => void left.take(batches, store, false),
    });
    stores.push(store);
    return store;
  };
  const owner = await openOwner(1);
  const write = async (name: string, ...streams: string[]): Promise<void> => {
    const writer = createLeasedWriter({
      // Killed: nobody hears that it ends.
      client: {
        ...localLeases(owner, { writer: name, segmentBytes: mib, leaseMs }),
        end: async () => undefined,
      },
      sideDir,
      node: "local",
      monotonic: () => clock.ms,
    });
    for (const stream of streams) await writer.place(batchOf(stream));
    // Killed: it says nothing more.
    await writer.close();
  };
  t.after(async () => {
    await left.stop();
    for (const store of stores) await store.close();
    rmSync(sideDir, { recursive: true, force: true });
  });
  return { clock, accepted, full, left, owner, openOwner, write };
}

const batchOf = (stream: string) => buildBatch({ texts: ["x".repeat(100_000)], stream });
const sourceOf = (stream: string) => {
  const { tenant, source } = batchOf(stream).header;
  return { tenant, stream, source };
};

const untilAccepted = (accepted: readonly string[], ...streams: string[]) =>
  eventually(() => accepted.join() === streams.join(), { what: `${streams.join()} accepted` });

test("what a full stream left holds up no other stream, lease or new life of a writer", async (t) => {
  const { clock, accepted, left, owner, write } = await workbench(t);
  await write("ingestion-0", "full", "one");
  await write("ingestion-1", "two");
  await owner.leases.endAllOf("ingestion-0");
  await untilAccepted(accepted, "one");
  clock.ms += leaseMs;
  await owner.leases.endExpired();
  await untilAccepted(accepted, "one", "two");
  assert.deepEqual([owner.leases.size(), left.size()], [0, 1]);
});

test("a source resumes when what it left is accepted, and sources of other streams at once", async (t) => {
  const { accepted, full, left, owner, write } = await workbench(t);
  await write("ingestion-0", "full", "one");
  await owner.leases.endAllOf("ingestion-0");
  await left.untilTaken(sourceOf("one"));
  await assert.rejects(left.untilTaken(sourceOf("full")), { code: "unavailable", subject: "stream:full" });
  full.clear();
  await left.untilTaken(sourceOf("full"));
  assert.deepEqual([accepted, left.size()], [["one", "full"], 0]);
});

test("stopped, it gives up what waits, and the next life finds it", async (t) => {
  const { left, owner, openOwner, write } = await workbench(t);
  await write("ingestion-0", "full");
  await owner.leases.endAllOf("ingestion-0");
  assert.equal(left.size(), 1);
  const asking = assert.rejects(left.untilTaken(sourceOf("full")), { code: "unavailable" });
  await left.stop();
  await asking;
  const again = await openOwner(2);
  assert.equal(again.left.length, 1);
});

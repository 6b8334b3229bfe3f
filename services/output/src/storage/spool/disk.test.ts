import assert from "node:assert/strict";
import { test } from "node:test";
import { eventually } from "@millrace/runtime/testing";
import { createMemoryDisk } from "@millrace/segments/testing";
import { sharingDirectorySyncs } from "./disk.js";

/** A disk whose syncs of directories end when they are told to. */
function heldSyncs() {
  const running: { path: string; end(error?: Error): void }[] = [];
  const fsyncDir = (path: string): Promise<void> =>
    new Promise((resolve, reject) => {
      running.push({ path, end: (error) => (error === undefined ? resolve() : reject(error)) });
    });
  return { running, disk: sharingDirectorySyncs({ ...createMemoryDisk(), fsyncDir }) };
}

test("calls that come while a directory is synced share the sync after it, and no earlier one", async () => {
  const { running, disk } = heldSyncs();
  const ended: string[] = [];
  const calls = ["first", "second", "third"].map((name) =>
    disk.fsyncDir("/a").then(() => void ended.push(name)),
  );
  void disk.fsyncDir("/b");
  assert.deepEqual(
    running.map(({ path }) => path),
    ["/a", "/b"],
  );
  running[0]?.end();
  await calls[0];
  await eventually(() => running.length === 3, { what: "the next sync" });
  assert.deepEqual(ended, ["first"]);
  running[2]?.end();
  await Promise.all(calls);
  assert.equal(running.length, 3);
});

test("a sync that fails fails for those that waited for it too", async () => {
  const { running, disk } = heldSyncs();
  const calls = [disk.fsyncDir("/a"), disk.fsyncDir("/a")];
  running[0]?.end(new Error("broken"));
  for (const outcome of await Promise.allSettled(calls)) assert.equal(outcome.status, "rejected");
  const again = disk.fsyncDir("/a");
  assert.equal(running.length, 2);
  running[1]?.end();
  await again;
});

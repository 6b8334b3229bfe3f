import assert from "node:assert/strict";
import { test } from "node:test";
import { createPublisher, eraseStored, readLastStored, subjects } from "@millrace/messaging";
import { natsWorkbench } from "@millrace/messaging/testing";
import { Artifact } from "@millrace/proto/artifact";
import type { CommitParts } from "./commit-content.js";
import { renameArtifact } from "./rename-artifact.js";

const bench = natsWorkbench();
const name = { tenant: "default", stream: "s", artifact: "a" };
const subject = subjects.artifact("default", "s", "a");
const renamed = { from: "x@example.com", to: "p-1" };

test("the list names an artifact by its cleaned source id, also after a call that broke off", async () => {
  const broker = await bench.connect("output");
  const publisher = createPublisher(broker);
  const store: CommitParts = {
    readLast: (of) => readLastStored(broker, "CONTENT", of),
    publish: (message) => publisher.publish(message),
    erase: (seq) => eraseStored(broker, "CONTENT", seq),
  };
  const listed = async (): Promise<string> => {
    const { data } = (await store.readLast(subject)) ?? assert.fail("it is not listed");
    return Artifact.decode(data).sourceId;
  };
  const data = Artifact.encode({ id: "a", stream: "s", sourceId: renamed.from }).finish();
  const { seq } = await store.publish({ subject, data, id: "first" });
  const ending = { ...store, publish: () => Promise.reject(new Error("ended")) };
  await assert.rejects(renameArtifact(ending, name, renamed), /ended/);
  assert.equal((await store.readLast(subject))?.seq, undefined);
  await renameArtifact(store, name, renamed);
  assert.equal(await listed(), "p-1");
  const before = (await store.readLast(subject))?.seq;
  for (const again of [renamed, { from: "p-1", to: "p-1" }]) await renameArtifact(store, name, again);
  assert.equal((await store.readLast(subject))?.seq, before);
  assert.ok(before !== undefined && before > seq);
});

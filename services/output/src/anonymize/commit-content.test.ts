import assert from "node:assert/strict";
import { test } from "node:test";
import { createPublisher, eraseStored, readLastStored, readPage, subjects } from "@millrace/messaging";
import { natsWorkbench } from "@millrace/messaging/testing";
import { StoredContent } from "@millrace/proto/artifact";
import { commitContent, type CommitParts, finish } from "./commit-content.js";

const bench = natsWorkbench();
const name = { tenant: "default", stream: "s", artifact: "a", content: "c" };
const subject = subjects.content("default", "s", "a", "c");
const contentOf = (text: string): StoredContent =>
  StoredContent.fromPartial({ id: "c", message: { content: { $case: "text", value: text } } });

for (let step = 0; step <= 4; step++) {
  test(`a rewrite that ends behind step ${step} lost no content, and a start finishes it`, async () => {
    const broker = await bench.connect("output");
    const publisher = createPublisher(broker);
    let left = Number.POSITIVE_INFINITY;
    const count =
      <A, R>(work: (asked: A) => Promise<R>) =>
      async (asked: A): Promise<R> => {
        if (left-- <= 0) throw new Error("ended");
        return work(asked);
      };
    const store: CommitParts = {
      readLast: (of) => readLastStored(broker, "CONTENT", of),
      publish: count((message) => publisher.publish(message)),
      erase: count((seq) => eraseStored(broker, "CONTENT", seq)),
    };
    const rewrites = async () => {
      const of = { jetStream: "CONTENT", filter: "rewrite.>", after: 0, countMax: 10, bytesMax: 1_000_000 };
      return (await readPage(broker, of)).messages;
    };
    const old = StoredContent.encode(contentOf(`before ${step}`)).finish();
    await store.publish({ subject, data: old, id: `old-${step}` });
    left = step;
    const done = commitContent(store, name, contentOf(`after ${step}`));
    if (step < 4) await assert.rejects(done, /ended/);
    else await done;
    left = Number.POSITIVE_INFINITY;
    for (const rewrite of await rewrites()) await finish(store, rewrite);
    const { data } = (await store.readLast(subject)) ?? assert.fail("the content is lost");
    assert.deepEqual(StoredContent.decode(data), contentOf(step === 0 ? "before 0" : `after ${step}`));
    assert.deepEqual(await rewrites(), []);
  });
}

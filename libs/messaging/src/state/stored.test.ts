import assert from "node:assert/strict";
import { test } from "node:test";
import { createPublisher } from "../delivery/publisher.js";
import { natsWorkbench } from "../testing/workbench.js";
import { eraseStored, readLastStored, readPage, readSince } from "./stored.js";

const bench = natsWorkbench();

test("pages go through what a filter matches, and a message above their bytes has its own", async () => {
  const broker = await bench.connect("output");
  const { publish } = createPublisher(broker);
  const large = new Uint8Array(9 * 1024 * 1024);
  for (let at = 0; at < 5; at++) {
    const data = at === 2 ? large : Buffer.from(`${at}`);
    await publish({ subject: `content.default.paged.a.c${at}`, data, id: `paged-${at}` });
    await publish({
      subject: `content.default.paged.b.c${at}`,
      data: Buffer.from("other"),
      id: `other-${at}`,
    });
  }
  const pages: number[] = [];
  const subjects: string[] = [];
  for (let more = true, after = 0; more; ) {
    const filter = "content.default.paged.a.*";
    const page = await readPage(broker, {
      jetStream: "CONTENT",
      filter,
      after,
      countMax: 2,
      bytesMax: 1_000_000,
    });
    pages.push(page.messages.length);
    subjects.push(...page.messages.map(({ subject }) => subject));
    after = page.messages.at(-1)?.seq ?? 0;
    more = page.more;
  }
  assert.deepEqual(
    subjects,
    [0, 1, 2, 3, 4].map((at) => `content.default.paged.a.c${at}`),
  );
  assert.ok(pages.length >= 3 && Math.max(...pages) <= 2, pages.join());
  const nothing = {
    jetStream: "CONTENT",
    filter: "content.default.none.>",
    after: 0,
    countMax: 2,
    bytesMax: 1_000,
  };
  assert.deepEqual(await readPage(broker, nothing), { messages: [], more: false });
});

test("what is erased is gone once, and a number that was never there is no error", async () => {
  const broker = await bench.connect("output");
  const subject = "content.default.erased.a.c";
  await createPublisher(broker).publish({ subject, data: Buffer.from("text"), id: "erased" });
  const stored = (await readLastStored(broker, "CONTENT", subject)) ?? assert.fail("it is stored");
  assert.equal(await eraseStored(broker, "CONTENT", stored.seq), true);
  assert.equal(await eraseStored(broker, "CONTENT", stored.seq), false);
  assert.equal(await eraseStored(broker, "CONTENT", 1_000_000), false);
  assert.equal(await readLastStored(broker, "CONTENT", subject), undefined);
});

test("reading since a time gives all of a subject with its age, however large, and ends", async () => {
  const broker = await bench.connect("output");
  const { publish } = createPublisher(broker);
  const subject = "result.default.since";
  const sizes = [10, 9 * 1024 * 1024, 20];
  for (const [at, size] of sizes.entries())
    await publish({ subject, data: new Uint8Array(size), id: `since-${at}`, ttlSeconds: 60 });
  const read = async (fromMs: number) => {
    const found = [];
    for await (const message of readSince(broker, { jetStream: "RESULT", filter: subject, fromMs }))
      found.push(message);
    return found;
  };
  const all = await read(0);
  assert.deepEqual(
    all.map(({ data, ttlSeconds }) => [data.length, ttlSeconds]),
    sizes.map((size) => [size, 60]),
  );
  assert.deepEqual(await read((all[2]?.timeMs ?? 0) + 60_000), []);
});

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { eventually } from "@millrace/runtime/testing";
import { createPublisher } from "../delivery/publisher.js";
import { natsWorkbench } from "../testing/workbench.js";
import { countStored, streamBounds, tailStream, type TailOptions } from "./tail.js";

const bench = natsWorkbench();
const subject = "result.default.s";

beforeEach(async () => {
  // Asked while the operator's connection comes back from a restart, the broker does not answer.
  await eventually(() => bench.admin().manager.streams.purge("RESULT"), { what: "RESULT is empty" });
});

async function publish(texts: readonly string[], to = subject): Promise<number[]> {
  const publisher = createPublisher(await bench.connect("output"));
  const seqs: number[] = [];
  for (const text of texts) {
    const data = Buffer.from(text);
    seqs.push((await publisher.publish({ subject: to, data, id: `${text}-${process.hrtime.bigint()}` })).seq);
  }
  return seqs;
}

/** Reads in the background; `texts` grows. */
async function reading(over: Partial<TailOptions>) {
  const stop = new AbortController();
  const texts: string[] = [];
  const broker = await bench.connect("gateway");
  const options: TailOptions = {
    jetStream: "RESULT",
    filter: subject,
    from: 1,
    signal: stop.signal,
    ...over,
  };
  const ended = (async () => {
    for await (const { data } of tailStream(broker, options)) texts.push(Buffer.from(data).toString());
  })();
  const end = async (): Promise<void> => {
    stop.abort();
    await ended;
  };
  return { texts, end };
}

test("a reader goes on from the number it names, in order, and then gets what is new", async () => {
  const seqs = await publish(["a", "b", "c"]);
  await publish(["other"], "result.default.other");
  const reader = await reading({ from: seqs[1] ?? 0 });
  await eventually(() => reader.texts.length === 2, { what: "the stored ones" });
  await publish(["d"]);
  await eventually(() => reader.texts.length === 3, { what: "the new one" });
  assert.deepEqual(reader.texts, ["b", "c", "d"]);
  await reader.end();
});

test("a reader survives a restart of the broker, missing nothing and repeating nothing", async () => {
  await publish(["a"]);
  const reader = await reading({ from: 1 });
  await eventually(() => reader.texts.length === 1, { what: "the first one" });
  await bench.nats().restart();
  await publish(["b", "c"]);
  await eventually(() => reader.texts.length >= 3, { what: "the later ones", deadlineMs: 60_000 });
  assert.deepEqual(reader.texts, ["a", "b", "c"]);
  await reader.end();
});

test("a reader ends when told, also when told while it was still asking", async () => {
  const stop = new AbortController();
  const broker = await bench.connect("gateway");
  const tail = tailStream(broker, { jetStream: "RESULT", filter: subject, from: 1, signal: stop.signal });
  const first = tail.next();
  stop.abort();
  assert.equal((await first).done, true);
  const aborted = tailStream(broker, { jetStream: "RESULT", filter: subject, from: 1, signal: stop.signal });
  assert.equal((await aborted.next()).done, true);
});

test("bounds and counts are the broker's", async () => {
  const seqs = await publish(["a", "b"]);
  await publish(["x"], "result.default.other");
  const broker = await bench.connect("gateway");
  assert.deepEqual(await streamBounds(broker, "RESULT"), { first: seqs[0], last: (seqs[1] ?? 0) + 1 });
  assert.equal(await countStored(broker, "RESULT", subject), 2);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Broker } from "../broker/broker.js";
import { createPublisher } from "../delivery/publisher.js";
import { natsWorkbench } from "../testing/workbench.js";
import { storedSizes } from "./kept.js";

const bench = natsWorkbench();
const subject = "result.default.s";

/** The same broker, where another purges just after a reader began. */
function purging(broker: Broker, purge: () => Promise<unknown>): Broker {
  const get: Broker["js"]["consumers"]["get"] = async (...of) => {
    const consumer = await broker.js.consumers.get(...of);
    await purge();
    return consumer;
  };
  return { ...broker, js: Object.create(broker.js, { consumers: { value: { get } } }) };
}

test("sizes are those of what is stored, and what is purged meanwhile is not waited for", async () => {
  const output = await bench.connect("output");
  const publisher = createPublisher(output);
  const seqs: number[] = [];
  for (let at = 1; at <= 10; at++) {
    seqs.push((await publisher.publish({ subject, data: new Uint8Array(at), id: `${at}` })).seq);
  }
  const all = seqs.map((seq, at) => ({ seq, bytes: at + 1 }));
  const sizes = async (of: typeof output) =>
    (await storedSizes(of, "RESULT", subject)).map(({ seq, bytes }) => ({ seq, bytes }));
  assert.deepEqual(await sizes(output), all);
  const { streams } = output.manager;
  const cut = purging(output, () => streams.purge("RESULT", { filter: subject, seq: seqs[4] }));
  assert.deepEqual(await sizes(cut), all.slice(4));
  const emptied = purging(output, () => streams.purge("RESULT", { filter: subject }));
  assert.deepEqual(await sizes(emptied), []);
});

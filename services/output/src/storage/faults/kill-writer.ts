import { writeSync } from "node:fs";
import { Framing } from "@millrace/proto/batch";
import { openStorageSink } from "../storage-sink.js";
import { makeBatch } from "./make-batch.js";
import { createRandom } from "@millrace/segments/testing";

/*
 * A process to be killed: stores rows from a position on and writes the position that it has reached, one
 * line a commit, to stdout. Arguments: directory, first position, seed, format.
 */
const [root = "", first = "0", seed = "0", format] = process.argv.slice(2);
const start = Number(first);
const random = createRandom(Number(seed));
const sink = await openStorageSink({
  root,
  tenant: "acme",
  stream: "orders",
  writer: "w1",
  format: format === "parquet" ? format : "lines",
  rollBytes: 40_000,
  loadSettled: async () => [{ from: 0, to: start }],
  settledElsewhere: () => [],
  findingName: String,
  now: () => Math.round(performance.timeOrigin + performance.now()),
});
const framings = [Framing.FRAMING_LINES, Framing.FRAMING_PACKED];
for (let position = start; ; ) {
  for (let batches = 1 + Math.floor(random() * 4); batches > 0; batches -= 1) {
    const texts = Array.from({ length: 1 + Math.floor(random() * 20) }, (_, row) => textAt(position + row));
    const framing = framings[Math.floor(random() * 2)] ?? Framing.FRAMING_LINES;
    await sink.stage(makeBatch(texts, { positionFrom: position, framing }));
    position += texts.length;
  }
  await sink.commit();
  writeSync(1, `${position}\n`);
  await sink.rollIfDue();
}

function textAt(position: number): string {
  return `${position} ${"x".repeat(position % 211)}`;
}

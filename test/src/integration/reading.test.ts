import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { type CreateOptions, createStreamProcessor } from "@millrace/sdk";
import { startTestSystem, type TestSystem } from "../system/local-system.js";
import { until } from "../system/observe.js";

const plain: CreateOptions = {
  enrichments: { embeddings: false, sentiment: false },
  outputs: { results: true, artifacts: false, search: false, events: false },
};
/** Above 64 KiB, so that its body lies in a segment. */
const long = "the quick brown fox jumps over the lazy dog ".repeat(4_000);

describe("how a stream's bodies are read", () => {
  let system: TestSystem;
  before(async () => {
    system = await startTestSystem();
  });
  after(() => system.stop());

  /** Publishes long texts to a new stream and answers what its status says of the data path then. */
  async function dataPathOf(name: string, options: CreateOptions): Promise<string> {
    await using processor = await createStreamProcessor(name, system.client, { ...plain, ...options });
    for (let n = 0; n < 3; n++) await processor.publish({ text: `${n} ${long}`, sourceId: "s" });
    await until(async () => (await processor.status()).conservation.out === 3, "what was published is out");
    return (await processor.status()).dataPath;
  }
  const counted = (dataPath: string, stage = "privacy"): number[] => {
    const told = new RegExp(`; ${stage} so far: ([^;]*)`).exec(dataPath)?.[1] ?? "";
    return [...told.matchAll(/\d+/g)].map(([digits]) => Number(digits));
  };
  const bytes = 3 * (long.length + 2);

  it("is mapped by default, and in place", async () => {
    const dataPath = await dataPathOf("mapped", {});
    assert.match(dataPath, /^mapped: privacy works in place .*; output works in place/);
    assert.deepEqual(counted(dataPath), [bytes, 0, 0]);
    assert.deepEqual(counted(dataPath, "output"), [bytes, 0, 0]);
  });

  it("is by plain reads without memoryMapping", async () => {
    const dataPath = await dataPathOf("plain", { memoryMapping: false });
    assert.match(dataPath, /^read: memory_mapping is off/);
    assert.deepEqual(counted(dataPath), [0, bytes, 0]);
    assert.deepEqual(counted(dataPath, "output"), [0, bytes, 0]);
  });

  it("is by copies out of the map without zeroCopy", async () => {
    const dataPath = await dataPathOf("copied", { zeroCopy: false });
    assert.match(dataPath, /^mapped: privacy copies out of the map/);
    assert.deepEqual(counted(dataPath), [bytes, 0, 0]);
  });

  it("is by plain reads for a body above mmapSize", async () => {
    const dataPath = await dataPathOf("bounded", { mmapSize: "70KB" });
    assert.match(dataPath, /70000 bytes at once at most/);
    assert.deepEqual(counted(dataPath), [0, bytes, 0]);
  });

  it("is told as within the batch where bodies are short", async () => {
    await using processor = await createStreamProcessor("short", system.client, plain);
    await processor.publish({ text: "short", sourceId: "s" });
    await until(async () => (await processor.status()).conservation.out === 1, "it is out");
    assert.deepEqual(counted((await processor.status()).dataPath), [0, 0, 5]);
  });
});

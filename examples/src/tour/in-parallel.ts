import assert from "node:assert/strict";
import {
  type Artifact,
  createStreamProcessor,
  mergeAndRankResults,
  PermanentError,
  type RankedHit,
} from "@millrace/sdk";
import { eventually } from "./eventually.js";
import type { Places } from "./places.js";

/** Batches in which one message fails alone, and a search over many artifacts at once. */
export async function inParallel({ client }: Places): Promise<void> {
  await using parallel = await createStreamProcessor("parallel", client, {
    parallelism: 8,
    workerThreads: 16,
    asyncProcessing: true,
  });
  const done = new Map<string, number>();

  parallel.batchProcessor({ batchSize: 1000 }, async (messages) => {
    const tasks = messages.map(async ({ content }) => {
      const text = String(content);
      done.set(text, (done.get(text) ?? 0) + 1);
      if (text === "message 500") throw new PermanentError("500 is not to be had");
      return text.length;
    });
    const results = await Promise.allSettled(tasks);
    return results.map((result) => (result.status === "fulfilled" ? result.value : result.reason));
  });
  await parallel.publish(Array.from({ length: 1_000 }, (_, at) => ({ text: `message ${at}` })));
  await eventually(() => done.size === 1_000);
  // One failed; none of the others was handled again for it.
  assert.deepEqual(
    [...done.values()].filter((times) => times !== 1),
    [],
  );

  await using library = await createStreamProcessor("shelves", client);
  const artifacts: Artifact[] = [];
  for (const [shelf, text] of Object.entries(shelves)) {
    const artifact = await library.getOrCreateArtifact(shelf);
    await artifact.addText(text, { processImmediately: true });
    artifacts.push(artifact);
  }
  const [best, ...others] = await parallelSimilaritySearch("how do I keep tomatoes watered", artifacts);
  assert.equal(best?.text, shelves.garden);
  assert.equal(best?.rank, 1);
  assert.ok(others.length > 0);
}

const shelves = {
  garden: "Water tomato plants at the root every other day.",
  kitchen: "Simmer the stock for two hours and skim it.",
  office: "Invoices are paid within thirty days.",
} as const;

async function parallelSimilaritySearch(query: string, artifacts: readonly Artifact[]): Promise<RankedHit[]> {
  const searches = artifacts.map((artifact) => artifact.searchSimilar(query, { maxResults: 10 }));
  const all = await Promise.all(searches);
  return mergeAndRankResults(all);
}

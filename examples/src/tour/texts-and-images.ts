import assert from "node:assert/strict";
import { createStreamProcessor, type DetectedObject } from "@millrace/sdk";
import { eventually } from "./eventually.js";
import type { Places } from "./places.js";

/** Handlers by kind of content, which keep what they get in artifacts and tell what came of it. */
export async function textsAndImages({ client, photo }: Places): Promise<void> {
  // Artifacts in a stream of their own: what a handler adds to its own stream would come back to it.
  await using library = await createStreamProcessor("library", client);
  await using live = await createStreamProcessor("incoming", client, {
    enrichments: { embeddings: false, sentiment: false },
  });
  const kept: string[] = [];
  const told = listen(live, 2);

  live.onTextMessage(async (message) => {
    const artifact = await library.getOrCreateArtifact(message.sourceId);
    const text = await artifact.addText(message.content, {
      processImmediately: true,
      generateEmbeddings: true,
    });
    if (message.requiresAnalysis) {
      const analysis = await artifact.analyzeSentiment(text.id);
      await live.publishResult(message.sourceId, "sentiment", analysis.label);
    }
    kept.push(text.id);
  });

  live.onImageMessage(async (message) => {
    const artifact = await library.getOrCreateArtifact(message.sourceId);
    const image = await artifact.addImage(message.imageData, {
      features: {
        objectDetection: true,
        sceneAnalysis: true,
        faceDetection: false,
      },
      processImmediately: true,
    });
    const objects = await artifact.getDetectedObjects(image.id);
    await live.publishResult(message.sourceId, "objects", labels(objects));
    kept.push(image.id);
  });

  await live.publish({
    text: "What a wonderful evening, thank you Ann (ann@example.com)!",
    sourceId: "table-1",
  });
  await live.publish({ image: photo, sourceId: "camera-1" });

  assert.deepEqual((await told).sort(), ["objects of camera-1: cat", "sentiment of table-1: positive"]);
  await eventually(() => kept.length === 2);
  const table = await library.getOrCreateArtifact("table-1");
  for await (const { message } of table.list())
    assert.equal(message.content, "What a wonderful evening, thank you Ann ([EMAIL])!");
}

const labels = (objects: readonly DetectedObject[]): string => objects.map(({ label }) => label).join(", ");

/** What handlers told: results that subscribers read and handlers don't. */
async function listen(
  stream: Awaited<ReturnType<typeof createStreamProcessor>>,
  count: number,
): Promise<string[]> {
  const told: string[] = [];
  for await (const message of stream.subscribe({ from: "earliest", signal: AbortSignal.timeout(90_000) })) {
    const kind = message.attributes["millrace-result"];
    if (kind !== undefined) told.push(`${kind} of ${message.sourceId}: ${String(message.content)}`);
    if (told.length === count) break;
  }
  return told;
}

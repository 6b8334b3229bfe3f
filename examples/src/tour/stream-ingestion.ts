import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createStreamProcessor } from "@millrace/sdk";
import { eventually } from "./eventually.js";
import { readTexts } from "./read-texts.js";
import type { Places } from "./places.js";

/** One stream, three kinds of source. */
export async function streamIngestion({ client, kafka, feed, directory }: Places): Promise<void> {
  await using live = await createStreamProcessor("live-data", client, {
    bufferSize: "128MB",
    batchSize: 1000,
    processingMode: "real_time",
    parallelism: 4,
  });

  const fromKafka = await live.addKafkaSource({
    bootstrapServers: [kafka.bootstrap],
    topic: "data-stream", // of Kafka
    consumerGroup: "millrace-processors",
  });
  const fromSocket = await live.addWebsocketSource({
    url: feed.url,
    headers: { Authorization: "Bearer token" },
  });
  const fromFiles = await live.addFileSource({
    path: directory,
    pattern: "*.jsonl",
    pollInterval: "1s",
  });

  await kafka.send("data-stream", "order 1 of ann@example.com");
  await feed.send("seat 2 for +49 30 901820");
  await writeFile(join(directory, "orders.jsonl"), '{"order":3,"mail":"bob@example.com"}\n');

  const texts = await readTexts(live, 3);
  assert.deepEqual(texts.sort(), [
    "order 1 of [EMAIL]",
    "seat 2 for [PHONE]",
    '{"order":3,"mail":"[EMAIL]"}',
  ]);
  assert.deepEqual(feed.authorization, "Bearer token");

  // Each one says how far it is, and can be held and taken away.
  for (const source of [fromKafka, fromSocket, fromFiles]) {
    await eventually(async () => (await source.status()).state === "running");
    await source.remove();
  }
}

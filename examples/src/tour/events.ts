import assert from "node:assert/strict";
import { createStreamProcessor } from "@millrace/sdk";
import { eventually } from "./eventually.js";
import type { Places } from "./places.js";

/** What happens in a stream, and what an application does about it. */
export async function events({ client }: Places): Promise<void> {
  await using live = await createStreamProcessor("happenings", client, {
    privacy: { detectorsOff: ["PHONE"] },
    enrichments: { sentiment: false },
    outputs: { similarityThreshold: 0.9 },
  });
  const urgent: string[] = [];
  const queued: string[] = [];
  const alike: string[] = [];
  const cleaned: string[] = [];
  const notified: string[] = [];

  live.onEvent("new_data", async (event) => {
    const { message } = await event.content.read();
    const content = String(message.content);
    if (message.attributes["millrace-queue"] !== undefined) return;
    if (event.payload.priority === "high") urgent.push(content);
    else await live.queueForBatchProcessing(content);
  });
  live.batchProcessor({ batchSize: 100, queued: true }, (messages) => {
    for (const { content } of messages) queued.push(String(content));
  });

  live.onEvent("similarity_threshold", async (event) => {
    const similar = await live.findSimilarContent(event.content, {
      threshold: 0.9,
      maxResults: 10,
    });
    if (similar.length > 0) alike.push(...similar.map(({ text }) => text));
  });

  // Where the privacy team hears of it: here a subject of the broker, as a webhook would in production.
  await client.triggers.create({
    id: "privacy-team",
    stream: "happenings",
    on: ["notification"],
    where: { channels: ["privacy-team"] },
    nats: "privacy-team",
  });
  live.onEvent("privacy_violation", async (event) => {
    await event.content.read();
    const { types } = await live.anonymizeContent(event.contentId);
    cleaned.push(...types);
    await live.notifyPrivacyTeam(event);
  });
  live.onEvent("notification", ({ payload }) => {
    notified.push(`${payload.channel}: ${Object.keys(payload.counts).join(", ")}`);
  });

  await live.publish({ text: "The kitchen is out of bread.", priority: "high" });
  await live.publish({ text: "Stock-taking is on Monday.", priority: "batch" });
  await live.publish({ text: "The kitchen has run out of bread!", priority: "high" });
  await live.publish({ text: "Call +49 30 901820 or write to ann@example.com.", priority: "high" });

  await eventually(
    () => urgent.length === 3 && queued.length === 1 && alike.length > 0 && notified.length > 0,
  );
  assert.ok(urgent.includes("The kitchen is out of bread."));
  assert.deepEqual(queued, ["Stock-taking is on Monday."]);
  assert.ok(alike.some((text) => text.startsWith("The kitchen")));
  // The stream lets telephone numbers pass; once something was found, the content is cleaned of them as well.
  assert.deepEqual(cleaned, ["PHONE"]);
  assert.deepEqual(notified, ["privacy-team: EMAIL"]);
}

import { connect, createStreamProcessor } from "@millrace/sdk";

await using client = connect({ address: process.argv[2] ?? "127.0.0.1:7070" });
await using reviews = await createStreamProcessor("reviews", client, { parallelism: 4 });

const seen = new Promise<void>((resolve) => {
  reviews.onTextMessage((message) => {
    process.stdout.write(`${message.sourceId}: ${message.text} (${message.sentiment?.label})\n`);
    if (message.sourceId === "table-2") resolve();
  });
});

await reviews.publish({ text: "Lovely soup, write to ann@example.com for the recipe.", sourceId: "table-1" });
const { position } = await reviews.publish({
  text: "We waited two hours for a cold pizza.",
  sourceId: "table-2",
});
await seen;

const after = { stream: "reviews", position };
const { hits } = await reviews.search("a long wait for food", { maxResults: 1, after });
process.stdout.write(`found: ${hits[0]?.text} (${hits[0]?.score.toFixed(2)})\n`);

const artifact = await reviews.getOrCreateArtifact("table-1");
const added = await artifact.addText("Came back, even better!", { processImmediately: true });
const kept = added.content?.message;
if (kept?.kind === "text") process.stdout.write(`kept: ${kept.text} (${kept.sentiment?.label})\n`);

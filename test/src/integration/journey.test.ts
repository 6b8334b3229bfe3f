import assert from "node:assert/strict";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { createStreamProcessor, type ReceivedMessage } from "@millrace/sdk";
import { startTestSystem, type TestSystem } from "../system/local-system.js";
import { storedLines, until } from "../system/observe.js";

const noModels = { enrichments: { embeddings: false, sentiment: false } } as const;

async function metricsOf(port: number): Promise<string> {
  return await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
}

describe("a message's journey", () => {
  let system: TestSystem;
  before(async () => {
    system = await startTestSystem();
  });
  after(() => system.stop());

  it("comes from publish to subscribe without personal data", async () => {
    await using processor = await createStreamProcessor("pushed", system.client, {
      ...noModels,
      outputs: { results: true, artifacts: false, search: false, events: false },
    });
    const received: ReceivedMessage[] = [];
    const stopping = new AbortController();
    const reading = (async () => {
      for await (const message of processor.subscribe({ from: "earliest", signal: stopping.signal }))
        received.push(message);
    })();
    const published = await processor.publish({
      text: "mail anna.meyer@example.com or call +44 20 7946 0958",
      sourceId: "desk-7",
      attributes: { contact: "bob@example.org", colour: "blue" },
    });
    await until(() => received.length === 1, "the message");
    stopping.abort();
    await reading;
    const [message] = received;
    assert.equal(message?.content, "mail [EMAIL] or call [PHONE]");
    assert.equal(message?.sourceId, "desk-7");
    assert.deepEqual(message?.attributes, { contact: "[EMAIL]", colour: "blue" });
    assert.deepEqual(message?.findings.map(({ type, place }) => `${type} ${place}`).sort(), [
      "EMAIL body",
      "EMAIL name",
      "PHONE body",
    ]);
    assert.equal(message?.position.offset, published.position.offset);
    assert.deepEqual(
      message?.passport.map(({ stage }) => stage),
      ["privacy", "output"],
    );
  });

  it("goes on right behind a resume token", async () => {
    await using processor = await createStreamProcessor("resumed", system.client, {
      ...noModels,
      outputs: { results: true, artifacts: false, search: false, events: false },
    });
    await processor.publish(Array.from({ length: 50 }, (_, at) => ({ text: `line ${at}` })));
    const first = await take(processor.subscribe({ from: "earliest" }), 20);
    const token = first.at(-1)?.resumeToken ?? "";
    const rest = await take(processor.subscribe({ resumeToken: token }), 30);
    assert.deepEqual(
      [...first, ...rest].map(({ content }) => content),
      Array.from({ length: 50 }, (_, at) => `line ${at}`),
    );
  });

  it("is stored as the file's lines minus personal data", async () => {
    const dir = join(system.inputDir, "lines");
    await mkdir(dir);
    const input = Array.from({ length: 3_000 }, (_, at) =>
      JSON.stringify({ at, who: at % 10 === 0 ? `u${at}@example.com` : "nobody", card: 0 }),
    );
    await writeFile(join(dir, "a.jsonl"), `${input.join("\n")}\n`);
    await using processor = await createStreamProcessor("filed", system.client, {
      ...noModels,
      processingMode: "batch",
      outputs: {
        results: false,
        artifacts: false,
        search: false,
        events: false,
        storage: { format: "lines", rollAge: "1s" },
      },
    });
    await processor.addFileSource({ path: dir, pattern: "*.jsonl", pollInterval: "100ms" });
    await until(async () => (await storedLines(system, "filed")).length >= 3_000, "the stored lines");
    const expected = input.map((line) => line.replace(/u\d+@example\.com/, "[EMAIL]"));
    assert.deepEqual((await storedLines(system, "filed")).sort(), expected.sort());
    const { conservation } = await processor.status();
    assert.deepEqual(
      { ...conservation, droppedByReason: undefined },
      { in: 3_000, out: 3_000, dead: 0, dropped: 0, inFlight: 0, balanced: true, droppedByReason: undefined },
    );
    const names = await readdir(join(system.outputDir, "default", "filed"));
    const manifests = names.filter((name) => name.endsWith(".manifest.json"));
    const counted = await Promise.all(
      manifests.map(
        async (name) =>
          JSON.parse(await readFile(join(system.outputDir, "default", "filed", name), "utf8")) as {
            messages: number;
          },
      ),
    );
    assert.equal(
      counted.reduce((sum, { messages }) => sum + messages, 0),
      3_000,
    );
  });

  it("is found by meaning, as soon as its position is searchable", async () => {
    await using processor = await createStreamProcessor("meant", system.client, {});
    const texts = [
      "The kitten fell asleep on the warm windowsill.",
      "Interest rates were raised by a quarter of a percent.",
      "Our train to the coast was two hours late.",
    ];
    const published = [];
    for (const text of texts) published.push(await processor.publish({ text, sourceId: "notes" }));
    const position = published.at(-1)?.position;
    assert.ok(position !== undefined);
    const { hits } = await processor.search("the central bank made borrowing more expensive", {
      maxResults: 3,
      after: { stream: "meant", position },
      wait: "20s",
    });
    assert.equal(hits.length, 3);
    assert.equal(hits[0]?.text, texts[1]);
    // What the metrics adapter reads of both services.
    const { http } = system.described.ports;
    const searched = await metricsOf(http["semantic-search"]);
    assert.match(searched, /^millrace_search_duration_seconds_count\{.*\} [1-9]/m);
    assert.match(searched, /^millrace_search_duration_seconds_bucket\{le="\+Inf",.*\} [1-9]/m);
    assert.match(await metricsOf(http.gateway), /^millrace_open_streams\{.*\} \d+$/m);
  });

  it("adds text to an artifact and answers with its analyses", async () => {
    await using processor = await createStreamProcessor("kept", system.client, {});
    const artifact = await processor.getOrCreateArtifact("customer maria@example.com");
    assert.match(artifact.sourceId, /^p-[0-9a-f]{32}$/);
    const added = await artifact.addText("This is wonderful, thank you, maria@example.com!", {
      processImmediately: true,
    });
    assert.equal(added.content?.message.content, "This is wonderful, thank you, [EMAIL]!");
    assert.equal(added.content?.message.sentiment?.label, "positive");
    const hits = await artifact.searchSimilar("a grateful customer", {
      maxResults: 5,
      after: added.position,
    });
    assert.equal(hits[0]?.contentId, added.id);
  });

  it("tells of new data with an event a message", async () => {
    await using processor = await createStreamProcessor("told", system.client, {
      ...noModels,
      outputs: { search: false, artifacts: false },
    });
    const heard: string[] = [];
    processor.onEvent("new_data", (event) => void heard.push(event.payload.sourceId));
    await processor.publish([
      { text: "one", sourceId: "a" },
      { text: "two", sourceId: "b" },
    ]);
    await until(() => heard.length === 2, "both events");
    assert.deepEqual(heard.sort(), ["a", "b"]);
  });
});

async function take(subscription: AsyncIterable<ReceivedMessage>, count: number): Promise<ReceivedMessage[]> {
  const taken: ReceivedMessage[] = [];
  for await (const message of subscription) if (taken.push(message) === count) break;
  return taken;
}

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { createStreamProcessor, type StoredContent } from "@millrace/sdk";
import { filePlaces } from "../system/leaks/collect-places.js";
import { startTestSystem, type TestSystem } from "../system/local-system.js";
import { until } from "../system/observe.js";

describe("an artifact's contents", () => {
  let system: TestSystem;
  before(async () => {
    system = await startTestSystem();
  });
  after(() => system.stop());

  /** Files in which the broker keeps those streams and which hold the text. */
  const filesWith = async (text: string, streams: RegExp): Promise<string[]> => {
    const places = await filePlaces(system.described.stateDir);
    return places
      .filter(({ name, bytes }) => streams.test(name) && Buffer.from(bytes).includes(text))
      .map(({ name }) => name);
  };

  it("are listed page by page in the order in which they were stored, and no other artifact's", async () => {
    await using processor = await createStreamProcessor("listed", system.client, {
      enrichments: { embeddings: false, sentiment: false },
    });
    const [desk, other] = [
      await processor.getOrCreateArtifact("desk"),
      await processor.getOrCreateArtifact("other"),
    ];
    const ids: string[] = [];
    for (let at = 0; at < 5; at++) {
      ids.push((await desk.addText(`note ${at}`, { processImmediately: true })).id);
      await other.addText(`other ${at}`, { processImmediately: true });
    }
    const listed: StoredContent[] = [];
    for await (const content of desk.list({ pageSize: 2 })) listed.push(content);
    assert.deepEqual(
      listed.map(({ id }) => id),
      ids,
    );
    assert.deepEqual(listed[3], await desk.get(ids[3] ?? ""));
    const [first] = listed;
    assert.deepEqual([first?.embedded, first?.message.content], [false, "note 0"]);
    assert.deepEqual(
      first?.message.passport.map(({ stage }) => stage),
      ["privacy", "output"],
    );
    await assert.rejects(desk.list({ pageSize: 501 })[Symbol.asyncIterator]().next(), {
      code: "invalid_argument",
      field: "pageSize",
    });
  });

  it("are gone from artifact, index and the broker's disk once they are deleted", async () => {
    await using processor = await createStreamProcessor("deleted", system.client, {});
    const artifact = await processor.getOrCreateArtifact("desk");
    const word = "xylographer";
    const added = await artifact.addText(`The ${word} carves pear wood.`, { processImmediately: true });
    const kept = await artifact.addText("Rain fell on the harbour.", { processImmediately: true });
    const search = async () => {
      const hits = await artifact.searchSimilar("woodcut artist", { after: kept.position });
      return hits.map(({ contentId }) => contentId);
    };
    assert.deepEqual((await search()).sort(), [added.id, kept.id].sort());
    const stores = /nats\/.*streams\/(CONTENT|EMBEDDINGS)\//;
    assert.notDeepEqual(await filesWith(word, stores), [], "the search of files is not blind");
    assert.equal(await artifact.delete(added.id), true);
    assert.equal(await artifact.delete(added.id), false);
    await assert.rejects(artifact.get(added.id), { code: "not_found" });
    await until(async () => (await search()).length === 1, "the vector's end");
    assert.deepEqual(await search(), [kept.id]);
    assert.deepEqual(await filesWith(word, stores), []);
    await artifact.addText("Snow fell on the harbour.", { processImmediately: true });
    assert.equal(await artifact.clear(), 2);
    assert.equal(await artifact.clear(), 0);
    for await (const { id } of artifact.list()) assert.fail(`${id} is left`);
  });

  it("tell their sentiment as stored, or find it where their stream asks for none", async () => {
    await using asked = await createStreamProcessor("judged", system.client, {});
    await using unasked = await createStreamProcessor("unjudged", system.client, {
      enrichments: { embeddings: false, sentiment: false, textField: "says" },
    });
    const text = "This is wonderful, thank you so much!";
    const stored = await asked.getOrCreateArtifact("desk");
    const { id } = await stored.addText(text, { processImmediately: true });
    const told = await stored.analyzeSentiment(id);
    assert.deepEqual([told.label, told.stored], ["positive", true]);
    const found = await unasked.getOrCreateArtifact("desk");
    const json = JSON.stringify({ who: "a terrible horrible awful person", says: text });
    const of = await found.addText(json, { processImmediately: true });
    // The same text by the same model: the field of the stream, and neither more nor less of it.
    assert.deepEqual(await found.analyzeSentiment(of.id), { ...told, stored: false });
  });
});

import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import {
  createStreamProcessor,
  mergeAndRankResults,
  type ReceivedMessage,
  type StoredContent,
} from "@millrace/sdk";
import { runToEnd } from "../system/run-program.js";
import { workspace } from "../system/supplies.js";
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

  it("are found by the list of their artifacts, which names each as long as it holds one", async () => {
    await using processor = await createStreamProcessor("named", system.client, {
      enrichments: { embeddings: false, sentiment: false },
    });
    const add = async (sourceId: string): Promise<string> => {
      const artifact = await processor.getOrCreateArtifact(sourceId);
      return (await artifact.addText("a note", { processImmediately: true })).id;
    };
    const listed = async (): Promise<string[]> => {
      const found: string[] = [];
      for await (const { sourceId, id, stream } of processor.listArtifacts({ pageSize: 2 })) {
        const { id: known } = await processor.getOrCreateArtifact(sourceId);
        assert.deepEqual([id, stream], [known, "named"]);
        found.push(sourceId);
      }
      return found;
    };
    const first = await add("desk");
    for (const sourceId of ["lamp", "desk", "anna@example.com", "door", "shelf"]) await add(sourceId);
    const [, , pseudonym = "", ...rest] = await listed();
    assert.ok(!pseudonym.includes("anna") && pseudonym !== "");
    assert.deepEqual(rest, ["door", "shelf"]);
    const desk = await processor.getOrCreateArtifact("desk");
    await desk.delete(first);
    await (await processor.getOrCreateArtifact("lamp")).clear();
    assert.deepEqual(await listed(), ["desk", pseudonym, "door", "shelf"]);
    for await (const { id } of desk.list()) await desk.delete(id);
    await add("lamp");
    await add("desk");
    assert.deepEqual(await listed(), [pseudonym, "door", "shelf", "lamp", "desk"]);
    const tooLarge = processor.listArtifacts({ pageSize: 1_001 })[Symbol.asyncIterator]();
    await assert.rejects(tooLarge.next(), { code: "invalid_argument", field: "pageSize" });
    await using bare = await createStreamProcessor("bare", system.client, { outputs: { artifacts: false } });
    const none = bare.listArtifacts();
    await assert.rejects(none[Symbol.asyncIterator]().next(), {
      code: "failed_precondition",
      field: "stream",
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
    await until(async () => (await filesWith(word, stores)).length > 0, "the text on the disk");
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

  it("are cleaned by every detector where they are kept, and nothing of before is on the disk", async () => {
    await using processor = await createStreamProcessor("cleaned", system.client, {
      privacy: { detectorsOff: ["EMAIL", "PHONE"] },
      batchSize: 10,
    });
    const [mail, phone] = ["vqxylo.gregor@example.com", "+44 20 7946 0958"];
    const text = `Call ${phone}, card 4539578763621486, or write to ${mail} about the pear wood.`;
    const told = { text, sourceId: "desk", attributes: { owner: mail, colour: "blue" } };
    const others = Array.from({ length: 5 }, (_, at) => ({
      text: `Rain fell on harbour ${at}.`,
      sourceId: "desk",
    }));
    const published = await processor.publish([...others, told, ...others]);
    const { position } = published[5] ?? assert.fail("nothing was published");
    const artifact = await processor.getOrCreateArtifact("desk");
    await until(async () => (await processor.status()).conservation.out === 11, "all of it done");
    let id = "";
    for await (const { id: each, message } of artifact.list()) {
      if (String(message.content).includes("vqxylo")) id = each;
    }
    const stores = /nats\/.*streams\/(CONTENT|RESULT|EMBEDDINGS)\//;
    await until(async () => (await filesWith("vqxylo", stores)).length > 0, "the text on the disk");

    const done = await processor.anonymizeContent({ id, sourceId: "desk" });
    assert.deepEqual(done, {
      artifact: artifact.id,
      types: ["EMAIL", "PHONE"],
      contentRewritten: true,
      vectorRewritten: true,
      resultsRewritten: 1,
    });
    const after = await artifact.get(id);
    const clean = "Call [PHONE], card [CARD], or write to [EMAIL] about the pear wood.";
    assert.equal(after.message.content, clean);
    assert.deepEqual(after.message.attributes, { owner: "[EMAIL]", colour: "blue" });
    const marks = after.message.findings.map(({ type, place, start, length }) =>
      place === "name" ? `${type} name` : `${type} ${clean.slice(start, start + length)}`,
    );
    assert.deepEqual(marks, ["PHONE [PHONE]", "CARD [CARD]", "EMAIL [EMAIL]", "EMAIL name"]);
    assert.equal(after.message.passport.at(-1)?.stage, "anonymize");

    const results = new Map<string, ReceivedMessage>();
    for await (const message of processor.subscribe({ from: "earliest" })) {
      results.set(message.id, message);
      if (results.size === 11) break;
    }
    const { resumeToken: _token, passport, ...result } = results.get(id) ?? assert.fail("no result");
    assert.equal(passport.at(-1)?.stage, "anonymize");
    for (const key of ["content", "attributes", "findings", "sentiment", "sourceId", "position"] as const)
      assert.deepEqual(result[key], after.message[key], key);
    const hits = await processor.search("write to [EMAIL] about pear wood", {
      after: { stream: "cleaned", position },
    });
    assert.equal(hits.hits[0]?.text, clean);
    for (const needle of ["vqxylo", "7946 0958"]) assert.deepEqual(await filesWith(needle, stores), []);
    assert.doesNotMatch(await system.logText(), /vqxylo|7946 0958/);

    // By its id alone, and again.
    const again = await processor.anonymizeContent(id);
    assert.deepEqual([again.types, again.contentRewritten, again.resultsRewritten], [[], false, 0]);
    assert.equal((await processor.status()).conservation.balanced, true);
    await assert.rejects(processor.anonymizeContent("0".repeat(32)), {
      code: "not_found",
      field: "content_id",
    });
  });

  it("are cleaned in the results of a stream that keeps no artifacts", async () => {
    await using processor = await createStreamProcessor("passing", system.client, {
      privacy: { detectorsOff: ["EMAIL"] },
      outputs: { artifacts: false, search: false, events: false },
    });
    await processor.publish({ text: "vqpassing@example.com wrote" });
    const read = async (): Promise<ReceivedMessage> => {
      for await (const message of processor.subscribe({ from: "earliest" })) return message;
      return assert.fail("the subscription ended");
    };
    const { id, content } = await read();
    assert.equal(content, "vqpassing@example.com wrote");
    const done = await processor.anonymizeContent(id);
    assert.deepEqual([done.types, done.contentRewritten, done.resultsRewritten], [["EMAIL"], false, 1]);
    assert.equal((await read()).content, "[EMAIL] wrote");
    assert.deepEqual(await filesWith("vqpassing", /nats\/.*streams\/RESULT\//), []);
  });

  it("are found by what they resemble, over several artifacts at once", async () => {
    await using processor = await createStreamProcessor("alike", system.client, {});
    const [desk, harbour] = [
      await processor.getOrCreateArtifact("desk"),
      await processor.getOrCreateArtifact("harbour"),
    ];
    const immediately = { processImmediately: true };
    const first = await desk.addText("The printer in room four is out of toner.", immediately);
    const twin = await harbour.addText("The printer in room 4 is out of toner again.", immediately);
    const other = await desk.addText("Rain fell on the harbour all night.", immediately);
    await processor.search("rain", { after: { stream: "alike", position: other.position } });
    const ids = (hits: readonly { contentId: string }[]) => hits.map(({ contentId }) => contentId);
    const alike = await processor.findSimilarContent({ id: first.id, stream: "alike" }, { threshold: 0.8 });
    assert.deepEqual(ids(alike), [twin.id], "itself is left out");
    assert.equal(alike[0]?.text, "The printer in room 4 is out of toner again.");
    assert.deepEqual(
      await processor.findSimilarContent({ id: first.id, stream: "alike" }, { threshold: 0.999 }),
      [],
    );
    const like = await system.client.findSimilarContent("The printer in room four is out of toner.", {
      threshold: 0.8,
      maxResults: 1,
      streams: ["alike"],
    });
    assert.deepEqual(ids(like), [first.id]);
    await assert.rejects(processor.findSimilarContent({ id: "0".repeat(32), stream: "alike" }), {
      code: "not_found",
      field: "content_id",
    });

    const query = "somebody must refill the printer";
    const lists = await system.client.searchArtifacts(query, [desk, harbour.id]);
    assert.deepEqual(
      lists.map(({ artifact, hits }) => [artifact, hits.length]),
      [
        [desk.id, 2],
        [harbour.id, 1],
      ],
    );
    assert.deepEqual(lists[0]?.hits, await desk.searchSimilar(query));
    const ranked = mergeAndRankResults(lists);
    assert.deepEqual(
      ranked.map(({ rank }) => rank),
      [1, 2, 3],
    );
    assert.equal(ranked[2]?.contentId, other.id);
  });

  it("are listed, cleaned and deleted by the command line", async () => {
    await using processor = await createStreamProcessor("typed", system.client, {
      privacy: { detectorsOff: ["EMAIL"] },
      enrichments: { embeddings: false, sentiment: false },
      outputs: { search: false },
    });
    const artifact = await processor.getOrCreateArtifact("desk");
    const { id } = await artifact.addText("from vqtyped@example.com", { processImmediately: true });
    const program = join(workspace, "cli", "bin", "millrace.mjs");
    const run = async (...args: string[]): Promise<string> => {
      const address = ["--address", `127.0.0.1:${system.described.ports.grpc}`];
      const ended = await runToEnd({ args: [program, ...args, ...address], timeoutMs: 30_000 });
      assert.equal(ended.code, 0, ended.stderr);
      return ended.stdout + ended.stderr;
    };
    assert.match(
      await run("contents", "typed", "desk"),
      new RegExp(`^${id} .* from vqtyped@example.com`, "m"),
    );
    assert.equal(await run("contents", "typed"), `${artifact.id}  desk\n`);
    assert.match(await run("anonymize", "typed", id), /Replaced: EMAIL\. Results rewritten: 1\./);
    assert.match(await run("contents", "typed", "desk"), /from \[EMAIL\]/);
    assert.match(await run("contents", "typed", "desk", "--delete", id), /is deleted/);
    assert.equal(await run("contents", "typed", "-n", "1"), "");
    assert.doesNotMatch(await run("contents", "typed", "desk"), new RegExp(id));
  });

  it("and texts of a request are judged and cleaned in memory", async () => {
    const { privacy } = system.client;
    const text = "über vqtext@example.com";
    const [found, ...others] = await privacy.detect(text);
    assert.deepEqual([found?.type, found?.start, found?.length, others.length], ["EMAIL", 6, 18, 0]);
    const cleaned = await privacy.anonymize(text);
    assert.equal(cleaned.text, "über [EMAIL]");
    const [token] = cleaned.findings;
    assert.deepEqual([token?.type, token?.start, token?.length], ["EMAIL", 6, 7]);
    await assert.rejects(privacy.detect("x".repeat(600_000)), { code: "invalid_argument", field: "text" });
    assert.doesNotMatch(await system.logText(), /vqtext/);
  });
});

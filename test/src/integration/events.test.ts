import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { createStreamProcessor, type StreamEvent } from "@millrace/sdk";
import { startTestSystem, type TestSystem } from "../system/local-system.js";
import { until } from "../system/observe.js";

const noModels = { enrichments: { embeddings: false, sentiment: false } } as const;

describe("events", () => {
  let system: TestSystem;
  before(async () => {
    system = await startTestSystem();
  });
  after(() => system.stop());

  it("new data leads to its content, and a violation names types and ids, never a value", async () => {
    await using stream = await createStreamProcessor("mail", system.client, noModels);
    const told: StreamEvent<"privacy_violation">[] = [];
    const contents: string[] = [];
    stream.onEvent("new_data", async ({ payload }) => {
      const { message } = await payload.content.read();
      contents.push(String(message.content));
    });
    stream.onEvent("privacy_violation", (event) => void told.push(event));
    const messages = [
      {
        text: "ann@example.com and bob@example.com",
        sourceId: "carl@example.com",
        priority: "high" as const,
        idempotencyKey: "1",
      },
      { text: "nothing here", sourceId: "s1" },
    ];
    const [first] = await stream.publish(messages);
    await until(() => contents.length === 2 && told.length === 1, "both contents and the violation");
    assert.deepEqual(contents.sort(), ["[EMAIL] and [EMAIL]", "nothing here"]);
    const [event] = told;
    assert.equal(event?.contentId, first?.messageId);
    assert.deepEqual(event?.payload, { counts: { EMAIL: 3 } });
    assert.equal(event?.source, (await event?.content.read())?.message.sourceId);
    assert.doesNotMatch(JSON.stringify(told), /example\.com/);
  });

  it("a stream that asks for no violations tells none", async () => {
    await using stream = await createStreamProcessor("quiet", system.client, {
      ...noModels,
      outputs: { violations: false },
    });
    const types: string[] = [];
    for (const type of ["privacy_violation", "new_data"] as const)
      await stream.onEvent(type, () => void types.push(type)).ready;
    await stream.publish({ text: "ann@example.com" });
    await until(() => types.length > 0, "the new data");
    // What privacy tells of a batch is stored before output sees it.
    assert.deepEqual(types, ["new_data"]);
  });

  it("of two texts that mean the same the later names the earlier, once", async () => {
    await using stream = await createStreamProcessor("news", system.client, {
      enrichments: { sentiment: false },
      outputs: { similarityThreshold: 0.95 },
    });
    const pairs: [string, string][] = [];
    const scores: number[] = [];
    stream.onEvent("similarity_threshold", ({ contentId, source, content, payload }) => {
      assert.deepEqual([content.id, content.sourceId, payload.threshold], [contentId, source, 0.95]);
      pairs.push([contentId, payload.nearest.id]);
      scores.push(payload.score);
    });
    const said = "The ship left the harbour at dawn.";
    const [one] = await stream.publish([{ text: said, idempotencyKey: "1" }]);
    const [two, other] = await stream.publish([
      { text: said, idempotencyKey: "2" },
      { text: "Tomatoes need a lot of sun.", idempotencyKey: "3" },
    ]);
    await until(() => pairs.length === 1, "the pair");
    const text = "Basil grows best in a warm window.";
    const three = await stream.publish(["4", "5"].map((idempotencyKey) => ({ text, idempotencyKey })));
    await until(() => pairs.length === 2, "the pair of one batch");
    const ids = new Set([one?.messageId, two?.messageId]);
    assert.deepEqual(new Set(pairs[0]), ids);
    assert.deepEqual(new Set(pairs[1]), new Set(three.map(({ messageId }) => messageId)));
    assert.ok(scores.every((score) => score >= 0.95) && !pairs.flat().includes(other?.messageId ?? ""));
  });

  it("a threshold that cannot be is refused by name", async () => {
    for (const outputs of [{ similarityThreshold: 1.5 }, { similarityThreshold: 0.9, search: false }]) {
      await assert.rejects(createStreamProcessor("never", system.client, { outputs }), {
        code: "invalid_argument",
        field: "outputs.similarityThreshold",
      });
    }
  });
});

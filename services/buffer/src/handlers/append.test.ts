import assert from "node:assert/strict";
import { test } from "node:test";
import { buildBatch, inlineBatch } from "@millrace/envelope/testing";
import { Framing } from "@millrace/proto/batch";
import { AppendRequest, Sender } from "@millrace/proto/buffer";
import { append } from "./append.js";

const fences = { under: <T>(_: unknown, work: () => Promise<T>): Promise<T> => work() };
const discard = () => assert.fail("no body is discarded");
const refusals = { note: () => assert.fail("nothing is refused for want of room") };

async function senderOf(request: AppendRequest): Promise<string> {
  let told = "";
  const accept = async (_: unknown, { sender }: { sender: string }) => {
    told = sender;
    return { id: "0".repeat(32), published: undefined };
  };
  const acceptor = { name: "acceptor", accept };
  await append({ acceptor, durability: "synced", refusals, fences, discard })(request);
  return told;
}

test("who waits is who says that it appends, however the batch is framed", async () => {
  for (const framing of [Framing.FRAMING_LINES, Framing.FRAMING_PACKED]) {
    const batch = inlineBatch(buildBatch({ texts: ["a"], framing }));
    assert.equal(await senderOf({ batch, sender: Sender.SENDER_INGESTION }), "ingestion");
    assert.equal(await senderOf({ batch, sender: Sender.SENDER_GATEWAY }), "gateway");
  }
});

test("an append that does not say who sends it is refused by field and remedy", async () => {
  const request = AppendRequest.create({ batch: inlineBatch(buildBatch({ texts: ["a"] })) });
  await assert.rejects(senderOf(request), { code: "invalid_argument", field: "sender" });
});

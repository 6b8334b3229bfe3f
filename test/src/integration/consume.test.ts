import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { eventually } from "@millrace/runtime/testing";
import { createStreamProcessor, connect, RetryLater } from "@millrace/sdk";
import { startTestSystem, type TestSystem } from "../system/local-system.js";
import { runToEnd } from "../system/run-program.js";
import { workspace } from "../system/supplies.js";

let system: TestSystem;

before(async () => {
  system = await startTestSystem();
});
after(() => system?.stop());

/** All that the command prints. */
async function millrace(...args: string[]): Promise<string> {
  const address = ["--address", `127.0.0.1:${system.described.ports.grpc}`];
  const program = join(workspace, "cli", "bin", "millrace.mjs");
  const ended = await runToEnd({ args: [program, ...args, ...address], timeoutMs: 30_000 });
  assert.equal(ended.code, 0, ended.stderr);
  return ended.stdout + ended.stderr;
}

const plain = {
  enrichments: { embeddings: false, sentiment: false },
  outputs: { artifacts: false, search: false, events: false },
};

test("a failing item of 1,000 repeats no other, also where the gateway is killed meanwhile", async () => {
  const { client } = system;
  await using stream = await createStreamProcessor("thousand", client, {
    ...plain,
    onError: () => undefined,
  });
  const handled = new Map<string, number>();
  let isMended = false;
  const handler = stream.batchProcessor({ batchSize: 1_000, linger: "200ms" }, (messages) => {
    for (const message of messages) {
      handled.set(message.content.toString(), (handled.get(message.content.toString()) ?? 0) + 1);
      if (message.content === "text 500" && !isMended) message.fail(new RetryLater({ delay: "1s" }));
    }
  });
  await handler.ready;
  await stream.publish(Array.from({ length: 1_000 }, (_, at) => `text ${at}`));
  // A second lies between: what is settled is remembered by then.
  await eventually(() => handled.size === 1_000 && (handled.get("text 500") ?? 0) >= 3, {
    what: "all are handled, and one again",
  });
  const gateway = system.programs().find(({ name }) => name === "gateway");
  process.kill(gateway?.pid ?? 0, "SIGKILL");
  await handler.stop();
  const answers = () => client.streams.get("thousand").then(Boolean, () => false);
  await eventually(answers, { what: "the gateway is back", deadlineMs: 20_000 });
  isMended = true;
  // Another process of the same application, which remembers nothing of the first.
  await using other = connect({ address: client.address });
  await using again = await createStreamProcessor("thousand", other, { onError: () => undefined });
  const repeated: string[] = [];
  again.onTextMessage(({ content, attempt }) => void repeated.push(`${content}/${attempt}`));
  await eventually(() => repeated.length > 0, { what: "the failing one comes", deadlineMs: 30_000 });
  await again.publish("last");
  await eventually(() => repeated.some((each) => each.startsWith("last")), { what: "the next one comes" });
  assert.deepEqual(
    repeated.map((each) => each.split("/")[0]),
    ["text 500", "last"],
  );
  assert.ok([...handled].every(([text, times]) => text === "text 500" || times === 1));
});

test("two processes share the work of a group", async () => {
  const { client } = system;
  await using stream = await createStreamProcessor("shared", client, plain);
  await using second = connect({ address: client.address });
  await using other = await createStreamProcessor("shared", second);
  const seen: string[][] = [[], []];
  const handlers = [stream, other].map((each, at) =>
    each.onTextMessage(({ content }) => seen[at]?.push(content)),
  );
  await Promise.all(handlers.map(({ ready }) => ready));
  for (let batch = 0; batch < 10; batch++) {
    await stream.publish(Array.from({ length: 20 }, (_, at) => `${batch}/${at}`));
  }
  await eventually(() => seen.flat().length >= 200, { what: "all are handled" });
  assert.equal(new Set(seen.flat()).size, 200);
  assert.equal(seen.flat().length, 200);
  for (const texts of seen) assert.ok(texts.length >= 20, `${texts.length}`);
});

test("what a must-deliver group has not settled outlives the budget, and comes when it works", async () => {
  const { client } = system;
  const results = { results: { bytes: "1MiB" } };
  const outputs = { ...plain.outputs, ...results };
  await using stream = await createStreamProcessor("kept", client, { ...plain, outputs });
  await stream.onTextMessage(() => undefined).ready;
  await stream.close();
  await using later = await createStreamProcessor("kept", client);
  const texts = Array.from({ length: 24 }, (_, at) => `${at} ${"x".repeat(100_000)}`);
  for (const text of texts) await later.publish(text);
  const parked = async () =>
    (await later.status()).stages.some(({ stage, batches }) => stage === "parked" && batches > 0);
  await eventually(parked, { what: "its batches are parked", deadlineMs: 20_000 });
  const [group] = await client.streams.groups("kept");
  assert.deepEqual([group?.name, group?.isRead, group?.holdsBack], ["handlers", false, true]);
  const { groups } = await later.status();
  assert.deepEqual(groups, [group]);
  assert.equal(group?.members, 0);
  // As many as the results hold; each of them is a batch.
  assert.ok(group !== undefined && group.waitingMessages >= 5 && group.waitingMessages < texts.length);
  assert.ok((group.oldestWaiting?.getTime() ?? 0) > Date.now() - 60_000);
  const remedy = "millrace groups rm kept handlers";
  for (const args of [["status"], ["status", "kept"], ["groups", "ls"]])
    assert.match(await millrace(...args), new RegExp(`HOLDS IT BACK: nobody .*${remedy}`));
  const seen = new Set<string>();
  later.onTextMessage(({ content }) => void seen.add(content));
  await eventually(() => seen.size === texts.length, { what: "all come", deadlineMs: 30_000 });
  const isDone = async () => (await client.streams.groups("kept"))[0]?.waitingBatches === 0;
  await eventually(isDone, { what: "nothing waits" });
  const [done] = await client.streams.groups("kept");
  assert.deepEqual([done?.members, done?.waitingMessages, done?.oldestWaiting], [1, 0, undefined]);
  assert.match(await millrace("groups", "ls", "kept"), /^kept +handlers +must_deliver +1 +0 in 0 +- /m);
  assert.match(await millrace("groups", "rm", "kept", "handlers"), /Group handlers of kept is deleted/);
  assert.deepEqual(await client.streams.groups("kept"), []);
});

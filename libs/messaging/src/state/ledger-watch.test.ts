import assert from "node:assert/strict";
import { test } from "node:test";
import { eventually, testRuntime } from "@millrace/runtime/testing";
import { natsWorkbench } from "../testing/workbench.js";
import { createLedger } from "./ledger.js";
import { watchLedger } from "./ledger-watch.js";

const bench = natsWorkbench();
const hard = new AbortController().signal;
const key = (stream: string) => ({ tenant: "default", stream, source: "a".repeat(32) });

test("a watch tells what is stored, then each change, of stages and sources that are asked for", async () => {
  const runtime = testRuntime();
  const store = await createLedger(await bench.connect("output"), "store", runtime);
  const privacy = await createLedger(await bench.connect("privacy"), "privacy", runtime);
  const settle = async (ledger: typeof store, stream: string, to: number): Promise<void> => {
    ledger.settle(key(stream), { intervals: [{ from: 0, to }], done: to });
    await ledger.account(key(stream));
    await ledger.flush();
  };
  await settle(store, "watched", 3);
  await settle(store, "ignored", 3);
  await settle(privacy, "watched", 1);
  const heard: string[] = [];
  const watch = watchLedger(await bench.connect("buffer"), runtime, {
    stages: ["store", "search"],
    onCurrent: () => heard.push("current"),
    isWanted: ({ stream }) => stream === "watched",
    onEntry: (stage, { stream, source }, { settled }) => {
      assert.equal(source, "a".repeat(32));
      heard.push(`${stage} ${stream} ${settled.at(-1)?.to}`);
    },
  });
  await watch.start?.();
  await eventually(() => heard.length > 1, { what: "what was stored" });
  await settle(store, "watched", 7);
  await eventually(() => heard.length > 2, { what: "the change" });
  assert.deepEqual(heard, ["store watched 3", "current", "store watched 7"]);
  await watch.stop?.(hard);
  await settle(store, "watched", 9);
  assert.equal(heard.length, 3);
});

import assert from "node:assert/strict";
import test, { type TestContext } from "node:test";
import { onStopSignals } from "./stop-signals.js";

test("the first signal stops, a later one kills", (t) => {
  const { seen, send } = listening(t);
  send("SIGINT", 1_000);
  send("SIGINT", 3_000);
  assert.deepEqual(seen, ["stop SIGINT", "kill SIGINT"]);
});

test("one key press that arrives twice is one", (t) => {
  const { seen, send } = listening(t);
  send("SIGINT", 1_000);
  send("SIGTERM", 1_010);
  assert.deepEqual(seen, ["stop SIGINT"]);
});

function listening(t: TestContext) {
  const seen: string[] = [];
  let nowMs = 0;
  const request = {
    stop: (signal: string) => void seen.push(`stop ${signal}`),
    kill: (signal: string) => void seen.push(`kill ${signal}`),
  };
  t.after(onStopSignals(request, () => nowMs));
  const send = (signal: NodeJS.Signals, atMs: number) => {
    nowMs = atMs;
    process.emit(signal, signal);
  };
  return { seen, send };
}

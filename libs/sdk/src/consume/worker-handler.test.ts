import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import { pathToFileURL } from "node:url";
import { systemEnvironment } from "../rpc/environment.js";
import { toHandled } from "./handled-message.js";
import { workerHandler } from "./worker-handler.js";
import { Message } from "@millrace/proto/message";

const module = `
export async function handle({ content }) {
  if (content === "hang") for (;;);
  if (content === "crash") process.exit(3);
  if (content === "never") throw Object.assign(new Error("unknown"), { name: "PermanentError" });
  if (content === "plain") throw new TypeError("odd");
}
`;

test("a thread that hangs or dies is ended, its message fails, and the next one is worked on", async (t) => {
  const dir = await mkdtemp(join(tmpdir(), "millrace-worker-"));
  t.after(() => rm(dir, { recursive: true, force: true }));
  await writeFile(join(dir, "handler.mjs"), module);
  const url = pathToFileURL(join(dir, "handler.mjs"));
  const parts = { environment: systemEnvironment, parallelism: 4 };
  const worker = workerHandler(parts, url, { timeLimit: "1s", workers: 1 });
  const call = (content: string) => {
    const message = Message.fromPartial({ id: content, content: { $case: "text", value: content } });
    return worker.handle(toHandled({ item: 1, message, attempt: 1, delayedMs: 0 }, AbortSignal.abort()));
  };
  await call("fine");
  await assert.rejects(call("hang"), { name: "TimeLimitPassed" });
  await assert.rejects(call("crash"), { name: "ThreadEnded" });
  await assert.rejects(call("never"), { name: "PermanentError", message: "unknown" });
  // One after the other: they share the one thread.
  await Promise.all([call("fine"), assert.rejects(call("plain"), { name: "TypeError" }), call("fine")]);
  await worker.stop();
});

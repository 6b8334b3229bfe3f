import { parentPort, workerData } from "node:worker_threads";
import type { WorkerAnswer } from "./worker-handler.js";

// A thread of `workerHandler`: loads the application's module, and calls its `handle` for each message.

interface Loaded {
  handle?: unknown;
  default?: unknown;
}

const { module } = workerData as { module: string };
const loaded = (await import(module)) as Loaded;
const handle = loaded.handle ?? loaded.default;

async function answerTo(message: unknown): Promise<WorkerAnswer> {
  try {
    if (typeof handle !== "function") {
      const problem = "the handler's module exports no function `handle`";
      return { ok: false, name: "PermanentError", message: problem, delayMs: undefined };
    }
    await handle(message);
    return { ok: true };
  } catch (caught) {
    const error = caught instanceof Error ? caught : new Error(String(caught));
    const delayMs = (error as { delayMs?: unknown }).delayMs;
    return {
      ok: false,
      name: error.name,
      message: error.message,
      delayMs: typeof delayMs === "number" ? delayMs : undefined,
    };
  }
}

parentPort?.on("message", (message: unknown) => {
  void answerTo(message).then((answer) => parentPort?.postMessage(answer));
});

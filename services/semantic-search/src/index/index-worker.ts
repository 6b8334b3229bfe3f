/*
 * The index's thread. Native searches and links are synchronous, so one thread takes turns:
 *
 *   turn: all waiting searches ─► one slice (≤ sliceMs) of the oldest change or background work ─► next turn
 *
 * A search therefore waits for at most one slice and the searches before it. An error that is not the
 * caller's ends the thread: the index then says it is unavailable and is rebuilt by who owns it.
 */
import { CodedError } from "@millrace/errors";
import { parentPort, workerData } from "node:worker_threads";
import { createIndexEngine, type Change, type EngineOptions } from "./index-engine.js";
import type { Answer, CallMessage, ThreadMessage, WireError } from "./index-protocol.js";

/** A millisecond: five links at 20,000 vectors, two at 100,000. */
const sliceMs = 1;

export function startIndexWorker(port: NonNullable<typeof parentPort>, options: EngineOptions): void {
  const engine = createIndexEngine(options);
  const searches: (CallMessage & { kind: "search" })[] = [];
  const changes: { call: number; change: Change<number | void> }[] = [];
  let isScheduled = false;

  function schedule(): void {
    if (isScheduled) return;
    isScheduled = true;
    setImmediate(turn);
  }

  function turn(): void {
    isScheduled = false;
    for (const { call, request } of searches.splice(0)) {
      answer(call, () => ({ hits: engine.search(request) }));
    }
    if (runSlice()) schedule();
    else send({ kind: "size", size: engine.size() });
  }

  /** True if there is more to do. */
  function runSlice(): boolean {
    const endMs = performance.now() + sliceMs;
    while (performance.now() < endMs) {
      const head = changes[0];
      if (head === undefined) {
        if (!engine.work()) return false;
      } else if (isOver(head)) {
        changes.shift();
      }
    }
    return true;
  }

  function isOver({ call, change }: { call: number; change: Change<number | void> }): boolean {
    try {
      const step = change.next();
      if (step.done !== true) return false;
      send({ kind: "size", size: engine.size() });
      answer(call, () => ({ count: step.value ?? 0 }));
    } catch (caught) {
      answer(call, () => {
        throw caught;
      });
    }
    return true;
  }

  function answer(call: number, work: () => Answer): void {
    send({ kind: "answer", call, answer: attempt(work) });
  }

  function send(message: ThreadMessage): void {
    port.postMessage(message);
  }

  port.on("message", (message: CallMessage) => {
    if (message.kind === "search") searches.push(message);
    else changes.push({ call: message.call, change: changeOf(message) });
    schedule();
  });

  function changeOf(message: Exclude<CallMessage, { kind: "search" }>): Change<number | void> {
    switch (message.kind) {
      case "upsert":
        return engine.upsert(message.entries, message.vectors);
      case "remove":
        return engine.remove(message.ids);
      case "removeStream":
        return engine.removeStream(message.tenant, message.stream);
    }
  }

  send({ kind: "ready" });
}

/** Errors of the call become its answer; all others are ours and end the thread. */
function attempt(work: () => Answer): Answer {
  try {
    return work();
  } catch (caught) {
    if (!(caught instanceof CodedError)) throw caught;
    const { code, message, field, remedy } = caught;
    const error: WireError = { code, message, field, remedy };
    return { error };
  }
}

if (parentPort !== null) startIndexWorker(parentPort, workerData as EngineOptions);

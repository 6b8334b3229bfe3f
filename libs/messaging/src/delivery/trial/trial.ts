import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { type Code, CodedError } from "@millrace/errors";
import { encodeBatch, type OpenBatch, selectRows } from "@millrace/envelope";
import type { Header } from "@millrace/proto/batch";
import { Stream } from "@millrace/proto/stream";
import type { Component, Runtime } from "@millrace/runtime";
import { findFailing, type Judgement } from "./find-failing.js";

/*
 * A trial runs the stage's handler on a batch in a process of its own, and throws away what comes of it: only
 * whether it comes through counts. So a message that throws, hangs or ends its process is found without harm,
 * and the stage's own process goes on meanwhile.
 *
 *   judge ─► child there? ─no─► fork, config ─► ready
 *              │                                  │
 *              └─────────────► batch ◄────────────┘
 *                                ├─► passed
 *                                ├─► failed: it threw
 *                                ├─► no end within `budgetMs`: killed     ─┐ failed; the next piece gets
 *                                └─► it ended                             ─┘ a new child
 */
export interface Trial extends Component {
  /** Which rows come through alone. One batch at a time. Errors: `unavailable`, `canceled`. */
  judge(open: OpenBatch, signal: AbortSignal): Promise<Judgement>;
}

export interface TrialOptions {
  runtime: Runtime;
  /** URL of a module that exports `tryBatch`: a `MakeTryBatch`. */
  module: URL;
  /** Of the service; travels to the child as JSON. */
  config: unknown;
  /** The settings that the handler sees. */
  streamOf(header: Header): Promise<Stream | undefined>;
  /** A piece that takes longer hangs. Default 5 s: a batch takes milliseconds, at inference a second. */
  budgetMs?: number;
}

/** What the module makes of the config: the stage's handler, its effects left out. */
export type MakeTryBatch = (config: unknown) => Promise<TryBatch>;
export type TryBatch = (open: OpenBatch, stream: Stream) => Promise<unknown>;

export type ToChild = { config: unknown; budgetMs: number } | { batch: Uint8Array; stream: Uint8Array };
export type FromChild = { is: "ready" } | { is: "passed" } | { is: "failed"; code: Code; message: string };

const budgetMsDefault = 5_000;
/** A model may have to be loaded. */
const startMsMax = 60_000;
/** A child that has nothing to do costs memory only. */
const idleMsMax = 30_000;
/** A message that makes its handler grow without end fails here, not the machine. */
const heapMibMax = 256;

const childProgram = fileURLToPath(new URL("./trial-child.js", import.meta.url));

export function createTrial(options: TrialOptions): Trial {
  const { runtime, budgetMs = budgetMsDefault } = options;
  let child: ChildProcess | undefined;
  let turn: Promise<unknown> = Promise.resolve();
  let idle: NodeJS.Timeout | undefined;

  const drop = (): void => {
    child?.kill("SIGKILL");
    child = undefined;
  };

  const start = async (signal: AbortSignal): Promise<ChildProcess> => {
    const started = fork(childProgram, [options.module.href], {
      execArgv: [`--max-old-space-size=${heapMibMax}`],
      // What it prints of a crash may quote payload.
      stdio: ["ignore", "ignore", "ignore", "ipc"],
      serialization: "advanced",
    });
    const answer = await askChild(started, { config: options.config, budgetMs }, { ms: startMsMax, signal });
    if (answer.is === "ready") return started;
    started.kill("SIGKILL");
    const code = answer.is === "canceled" ? "canceled" : "unavailable";
    throw new CodedError(code, `start trial: ${describe(answer)}`);
  };

  /** Undefined: the rows come through. */
  const tryRows = async (
    open: OpenBatch,
    stream: Uint8Array,
    signal: AbortSignal,
    isSecond = false,
  ): Promise<CodedError | undefined> => {
    // It may have ended while nobody asked it anything.
    if (child?.connected === false) drop();
    child ??= await start(signal);
    const batch = encodeBatch(open, { $case: "inline", value: open.body });
    const answer = await askChild(child, { batch, stream }, { ms: budgetMs, signal });
    if (answer.is === "passed") return undefined;
    if (answer.is === "failed") return new CodedError(answer.code, answer.message);
    drop();
    if (answer.is === "canceled") throw new CodedError("canceled", "try batch: the service stops");
    // One message alone is judged twice: the first child may have been ended, or held up, from outside.
    if (open.header.count === 1 && !isSecond) return tryRows(open, stream, signal, true);
    const code = answer.is === "hangs" ? "deadline_exceeded" : "internal";
    return new CodedError(code, `try batch: ${describe(answer)}`);
  };

  const judge = async (open: OpenBatch, signal: AbortSignal): Promise<Judgement> => {
    clearTimeout(idle);
    const stream = await options.streamOf(open.header);
    const all = { from: 0, to: open.header.count };
    // The handler drops it.
    if (stream === undefined) return { passed: [all], failed: [] };
    const settings = Stream.encode(stream).finish();
    runtime.log.warn("trying a batch alone that was not settled before", { messages: open.header.count });
    try {
      return await findFailing(open.header.count, ({ from, to }) =>
        tryRows(selectRows(open, from, to, { stage: "trial", index: from }), settings, signal),
      );
    } finally {
      idle = setTimeout(drop, idleMsMax).unref();
    }
  };
  return {
    name: "trial",
    judge: (open, signal) => {
      const judged = turn.then(() => judge(open, signal));
      turn = judged.catch(() => undefined);
      return judged;
    },
    stop: async () => {
      clearTimeout(idle);
      drop();
    },
  };
}

type Answer = FromChild | { is: "hangs"; ms: number } | { is: "ended"; how: string } | { is: "canceled" };

function askChild(
  child: ChildProcess,
  message: ToChild,
  { ms, signal }: { ms: number; signal: AbortSignal },
): Promise<Answer> {
  return new Promise((resolve) => {
    const answer = (given: Answer): void => {
      clearTimeout(timer);
      child.removeAllListeners();
      signal.removeEventListener("abort", cancel);
      resolve(given);
    };
    const cancel = (): void => answer({ is: "canceled" });
    const timer = setTimeout(() => answer({ is: "hangs", ms }), ms);
    child.on("message", (told) => answer(told as FromChild));
    child.on("exit", (code, by) => answer({ is: "ended", how: by ?? `exit code ${code}` }));
    child.on("error", (error) => answer({ is: "ended", how: error.name }));
    if (signal.aborted) return cancel();
    signal.addEventListener("abort", cancel, { once: true });
    child.send(message, (error) => {
      if (error !== null) answer({ is: "ended", how: error.name });
    });
  });
}

function describe(answer: Answer): string {
  switch (answer.is) {
    case "hangs":
      return `no end within ${answer.ms} ms`;
    case "ended":
      return `it ended the process (${answer.how})`;
    case "failed":
      return answer.message;
    default:
      return answer.is;
  }
}

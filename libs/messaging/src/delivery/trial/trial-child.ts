import { CodedError, disposition, shownReason } from "@millrace/errors";
import { decodeBatch, openBatch } from "@millrace/envelope";
import { Stream } from "@millrace/proto/stream";
import { startWatchdog } from "@millrace/runtime";
import type { FromChild, MakeTryBatch, ToChild, TryBatch } from "./trial.js";

// The program of a trial's child process: argument 1 is the module with the handler. See trial.ts.

let tryBatch: TryBatch | undefined;

function tell(answer: FromChild): void {
  process.send?.(answer);
}

function failed(caught: unknown, attempted: string): FromChild {
  const error = CodedError.from(caught, attempted);
  return { is: "failed", code: error.code, message: shownReason(error) };
}

async function start(message: Extract<ToChild, { config: unknown }>): Promise<FromChild> {
  // Should the parent die while a batch hangs here, nobody else would end this process.
  startWatchdog(2 * message.budgetMs);
  const module = (await import(String(process.argv[2]))) as { tryBatch: MakeTryBatch };
  tryBatch = await module.tryBatch(message.config);
  return { is: "ready" };
}

async function run(message: Extract<ToChild, { batch: unknown }>): Promise<FromChild> {
  const batch = decodeBatch(message.batch);
  const open = openBatch(batch, batch.body?.$case === "inline" ? batch.body.value : new Uint8Array());
  try {
    await tryBatch?.(open, Stream.decode(message.stream));
    return { is: "passed" };
  } catch (caught) {
    const verdict = disposition(CodedError.from(caught).code);
    const isOfData = verdict === "retry" || verdict === "dead_letter";
    return isOfData ? failed(caught, "process message") : { is: "passed" };
  }
}

process.on("disconnect", () => process.exit(0));
process.on("message", (message: ToChild) => {
  const answer = "config" in message ? start(message) : run(message);
  void answer.catch((caught: unknown) => failed(caught, "try batch")).then(tell);
});

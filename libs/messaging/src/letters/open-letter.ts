import { CodedError } from "@millrace/errors";
import { checkBatch, type OpenBatch, openBatch } from "@millrace/envelope";
import type { DeadLetter } from "@millrace/proto/batch";

/** Stages that can be handed a letter of theirs again. */
const redrivable: ReadonlySet<string> = new Set([
  "privacy",
  "inference",
  "search",
  "results",
  "store",
  "kafka",
]);

/** The message of a letter; undefined where it is not whole, or was never read. */
export function openLetter({ batch, truncatedBytes }: DeadLetter): OpenBatch | undefined {
  if (batch?.header === undefined || batch.body?.$case !== "inline" || truncatedBytes > 0) return undefined;
  checkBatch(batch);
  return openBatch(batch, batch.body.value);
}

/** Why a letter can't be handed to its stage again; undefined: it can. */
export function refusalOf({ stage, batch, truncatedBytes }: DeadLetter): CodedError | undefined {
  const refuse = (why: string, remedy: string): CodedError =>
    new CodedError("failed_precondition", `redrive: ${why}`, { field: "id", remedy });
  const elsewhere = "Send the message again at its source, and discard the letter.";
  if (batch?.header === undefined)
    return refuse("the letter holds a batch that could not be read", elsewhere);
  if (stage === "buffer") return refuse("its source could not frame the message", elsewhere);
  if (truncatedBytes > 0) return refuse("the message is not kept whole", elsewhere);
  if (stage === "consume")
    return refuse(
      "a group gave the message up",
      "It was delivered: replay the stream, or consume it from the earliest by another group.",
    );
  if (redrivable.has(stage)) return undefined;
  return refuse(
    `letters of ${stage} can't be handed to it again`,
    "Mend the cause; what comes next goes through.",
  );
}

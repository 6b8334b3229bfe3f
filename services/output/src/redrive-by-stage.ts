import { CodedError } from "@millrace/errors";
import { ask, type Broker, type Redrive, redriveEndpoint, refusalOf } from "@millrace/messaging";
import { DeadLetter } from "@millrace/proto/batch";

/** A child process may have to start and load a model first. */
const answerMs = 60_000;

const elsewhere = new Map([
  ["inference", redriveEndpoint("inference")],
  ["search", redriveEndpoint("semantic-search")],
]);

/** Each stage of the clean side handles its own letters again: output here, the others when asked. */
export function redriveByStage(broker: Broker, own: ReadonlyMap<string, Redrive>): Redrive {
  return async (letter, signal) => {
    const refusal = refusalOf(letter);
    if (refusal !== undefined) throw refusal;
    const here = own.get(letter.stage);
    if (here !== undefined) return here(letter, signal);
    const there = elsewhere.get(letter.stage);
    if (there === undefined) throw new CodedError("internal", `redrive: nobody answers for ${letter.stage}`);
    await ask(broker, there, { letter: DeadLetter.encode(letter).finish() }, answerMs);
  };
}

import { CodedError } from "@millrace/errors";
import {
  ask,
  batchShelf,
  type Broker,
  type Redrive,
  redriveEndpoint,
  refusalOf,
  type Shelf,
} from "@millrace/messaging";
import { DeadLetter } from "@millrace/proto/batch";

/** A child process may have to start and load a model first. */
const answerMs = 60_000;

const elsewhere = new Map([
  ["inference", redriveEndpoint("inference")],
  ["search", redriveEndpoint("semantic-search")],
]);

/** Messages that stages of the clean side gave up: privacy let them pass, so they are shown as they are. */
export function cleanShelf(broker: Broker, own: ReadonlyMap<string, Redrive>): Shelf {
  return batchShelf({ side: "clean", show: async (open) => open, redrive: redriveByStage(broker, own) });
}

/** Each stage handles its own letters again: output here, the others when asked. */
function redriveByStage(broker: Broker, own: ReadonlyMap<string, Redrive>): Redrive {
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

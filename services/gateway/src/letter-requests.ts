import {
  ask,
  type Broker,
  discardLettersEndpoint,
  type Endpoint,
  type LetterKeeper,
  listLettersEndpoint,
  redriveLettersEndpoint,
  showLetterEndpoint,
} from "@millrace/messaging";
import type { LetterParts } from "./handlers/dead-letter/list-dead-letters.js";

/** What the keepers of dead letters are asked. */
export function letterRequests(broker: Broker): Omit<LetterParts, "tenant" | "find"> {
  const asking =
    <Q, R>(endpoint: (keeper: LetterKeeper) => Endpoint<Q, R>) =>
    (keeper: LetterKeeper, request: Q, timeoutMs: number): Promise<R> =>
      ask(broker, endpoint(keeper), request, Math.max(1, Math.floor(timeoutMs)));
  return {
    listLetters: asking(listLettersEndpoint),
    showLetter: asking(showLetterEndpoint),
    redriveLetters: asking(redriveLettersEndpoint),
    discardLetters: asking(discardLettersEndpoint),
  };
}

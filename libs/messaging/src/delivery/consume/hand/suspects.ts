import { CodedError } from "@millrace/errors";
import type { JsMsg } from "@nats-io/jetstream";
import type { Attempts } from "./attempts.js";

/*
 * A batch whose trial found no fault may end its process all the same, and so may anybody else: a rolling
 * restart, the machine's memory. What tells them apart is what was worked on at that moment:
 *
 *   trial passed ──► in line ──► entered, written down ──► passed on ──► left, or settled
 *                                        └─ the process ends: it stays entered
 *
 * Only one suspect is entered at a time, and none while it waits, so that an end from outside rarely hits
 * one, and hardly ever the same one often.
 */
export interface Suspects {
  /** Runs the work when no other suspect is worked on. */
  alone(message: JsMsg, signal: AbortSignal, work: () => Promise<void>): Promise<void>;
}

export function createSuspects(attempts: Pick<Attempts, "enter" | "leave">): Suspects {
  /** Entered, though their work has ended: the broker did not answer. They are not counted twice. */
  const notLeft = new WeakSet<JsMsg>();
  let turn: Promise<unknown> = Promise.resolve();

  const run = async (message: JsMsg, signal: AbortSignal, work: () => Promise<void>): Promise<void> => {
    if (signal.aborted) throw new CodedError("canceled", "process batch: the service stops");
    if (!notLeft.has(message)) await attempts.enter(message);
    notLeft.add(message);
    try {
      // Settled next, which forgets it.
      await work();
    } catch (caught) {
      await attempts.leave(message).then(
        () => notLeft.delete(message),
        () => undefined,
      );
      throw caught;
    }
  };
  return {
    alone: (message, signal, work) => {
      const ran = turn.then(() => run(message, signal, work));
      turn = ran.catch(() => undefined);
      return ran;
    },
  };
}

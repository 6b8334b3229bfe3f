import { CodedError } from "@millrace/errors";
import {
  type HeldLetter,
  type Shelf,
  subjects,
  type TriggerName,
  triggerOfLetters,
  type TriggerRegistry,
} from "@millrace/messaging";
import { Event } from "@millrace/proto/event";
import { type Trigger, TriggerLetter } from "@millrace/proto/trigger";
import { type Action, type ActionOutcome, deliveryIdOf, tryOnce } from "./triggers/action.js";

export interface TriggerShelfParts {
  triggers: Pick<TriggerRegistry, "get">;
  act: Action;
}

/** Events that triggers gave up on: ids and counts, which privacy let pass. */
export function triggerShelf(parts: TriggerShelfParts): Shelf {
  return {
    name: "trigger",
    jetStream: "DLQ",
    // A trigger of every stream has letters of each: the event says of which.
    filter: (tenant) => subjects.triggerLetter(tenant, "*", "*"),
    open: ({ subject, data }) => {
      const of = triggerOfLetters(subject);
      const letter = TriggerLetter.decode(data);
      const event = letter.event ?? Event.fromPartial({});
      const { code } = letter;
      return {
        stream: event.stream,
        stage: "trigger",
        code,
        describe: () => describe(parts, of, { letter, event }),
        show: async () => ({ message: undefined, withheld: "", cutBytes: 0, event }),
        redrive: (signal) => redrive(parts, of, { letter, event, signal }),
      };
    },
  };
}

interface Opened {
  letter: TriggerLetter;
  event: Event;
}

function describe(
  { triggers }: TriggerShelfParts,
  of: TriggerName,
  { letter, event }: Opened,
): ReturnType<HeldLetter["describe"]> {
  const { code, reason, attempts, timeMs } = letter;
  return {
    stream: event.stream,
    stage: "trigger",
    code,
    reason,
    attempts,
    timeMs,
    position: undefined,
    kind: "event",
    contentBytes: Event.encode(event).finish().length,
    truncatedBytes: 0,
    refusal: refusalOf(letter, triggers.get(of))?.message ?? "",
    trigger: { stream: of.stream, id: of.id },
  };
}

/** One try, by the trigger as it is set now, under the id that the tries before it had. */
async function redrive(
  { triggers, act }: TriggerShelfParts,
  of: TriggerName,
  { letter, event, signal }: Opened & { signal: AbortSignal },
): Promise<void> {
  const trigger = triggers.get(of);
  const refusal = refusalOf(letter, trigger);
  if (refusal !== undefined || trigger === undefined) throw refusal;
  const deliveryId = deliveryIdOf(event, trigger);
  const failed = failureOf(await tryOnce(act, { tenant: of.tenant, trigger, event, deliveryId, signal }));
  if (failed !== undefined)
    throw new CodedError("failed_precondition", `redrive: ${failed}`, { field: "id" });
}

function failureOf(outcome: ActionOutcome): string | undefined {
  if (outcome.kind === "done") return undefined;
  return outcome.kind === "absent"
    ? `what the event is about is not there (${outcome.reason})`
    : outcome.reason;
}

function refusalOf({ cut }: TriggerLetter, trigger: Trigger | undefined): CodedError | undefined {
  const refuse = (why: string, remedy: string): CodedError =>
    new CodedError("failed_precondition", `redrive: ${why}`, { field: "id", remedy });
  if (cut) return refuse("the event is not kept whole", "See to it by its id, and discard the letter.");
  if (trigger === undefined)
    return refuse("its trigger is gone", "Create it again under its name, or discard the letter.");
  if (trigger.paused) return refuse("its trigger is paused", "Resume it first.");
  return undefined;
}

import { outputId } from "@millrace/envelope";
import { CodedError, shownReason } from "@millrace/errors";
import type { Event } from "@millrace/proto/event";
import type { Trigger } from "@millrace/proto/trigger";

/** What came of one try. Reasons are shown to users: no content, no secret, no address. */
export type ActionOutcome =
  /** `unnamed`: so many messages were left out that the event counts and does not name. */
  | { kind: "done"; unnamed?: number }
  /** What it is to act on is not there; `mayCome`: it may be on its way. No fault of the target. */
  | { kind: "absent"; reason: AbsentReason; mayCome: boolean }
  | { kind: "failed"; reason: string; retryAfterMs?: number }
  /** The target wants no more of it. */
  | { kind: "gone"; reason: string };

export type AbsentReason = "no_content" | "content_missing" | "nothing_kept";

export interface ActionCall {
  tenant: string;
  trigger: Trigger;
  /** What the trigger's filter let pass. */
  event: Event;
  /** The same at each try. */
  deliveryId: string;
  signal: AbortSignal;
}

/** Throws only a CodedError; that is a failed try too. */
export type Action = (call: ActionCall) => Promise<ActionOutcome>;

/** A failed try is an answer. */
export async function tryOnce(act: Action, call: ActionCall): Promise<ActionOutcome> {
  try {
    return await act(call);
  } catch (caught) {
    return { kind: "failed", reason: shownReason(CodedError.from(caught, "act on an event")) };
  }
}

/** The same at each try of an event by a trigger of that name, so that whoever gets it twice can tell. */
export const deliveryIdOf = (event: Event, { stream, id }: Trigger): string =>
  outputId(event.id, `trigger/${stream}/${id}`, 0);

/** Triggers with the same target share how it fares. */
export function targetOf({ id, stream, action }: Trigger): string {
  return action?.$case === "webhook" ? `webhook ${action.value.url}` : `trigger ${stream} ${id}`;
}

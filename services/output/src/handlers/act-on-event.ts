import type { EventDelivery } from "@millrace/messaging";
import { Event } from "@millrace/proto/event";
import type { Trigger } from "@millrace/proto/trigger";
import {
  type AbsentReason,
  type Action,
  type ActionOutcome,
  deliveryIdOf,
  tryOnce,
} from "../triggers/action.js";
import { selectEvent } from "../triggers/select-event.js";
import type { TargetGate } from "../triggers/target-gate.js";
import type { WorkSignals } from "../triggers/trigger-worker.js";

export interface ActOnEventParts {
  tenant: string;
  trigger: Trigger;
  act: Action;
  gate: TargetGate;
  /** Waits before the second try and each later one; a try more than there are is the last. */
  retryDelaysMs: readonly number[];
  random(): number;
  /** Keeps it among the dead letters. */
  bury(letter: { event: Event; deliveryId: string; reason: string; attempts: number }): Promise<void>;
  /** Told how each try went. */
  onOutcome(outcome: ActionOutcome): void;
  /** What an event asks for and can't be done is left, and counted. */
  onLeft(reason: AbsentReason | "not_named", count: number): void;
}

/** What is not stored in the dead letters for now is tried again after this. */
const buryAgainMs = 30_000;
/** An event that a target wants no more waits until the trigger is changed. */
const goneAgainMs = 3_600_000;

/** One event in, one try of the trigger's action; settles the delivery. */
export const actOnEvent =
  (parts: ActOnEventParts) =>
  async (delivery: EventDelivery, { stopping, hard }: WorkSignals): Promise<void> => {
    const { tenant, trigger, gate } = parts;
    const event = selectEvent(Event.decode(delivery.data), trigger.filter);
    if (event === undefined) return delivery.ack();
    const deliveryId = deliveryIdOf(event, trigger);
    if (!(await gate.enter(stopping))) return delivery.later(1);
    const outcome = await tryOnce(parts.act, { tenant, trigger, event, deliveryId, signal: hard });
    if (outcome.kind === "failed" && hard.aborted) {
      gate.leave();
      return delivery.later(1);
    }
    const isWell = outcome.kind === "done" || outcome.kind === "absent";
    if (isWell) gate.done();
    else gate.failed(outcome.kind === "failed" ? (outcome.retryAfterMs ?? 0) : 0);
    parts.onOutcome(outcome);
    if (outcome.kind === "done") {
      if (outcome.unnamed) parts.onLeft("not_named", outcome.unnamed);
      return delivery.ack();
    }
    if (outcome.kind === "gone") return delivery.later(goneAgainMs);
    const delayMs = parts.retryDelaysMs[delivery.attempt - 1];
    if (outcome.kind === "absent" && (delayMs === undefined || !outcome.mayCome)) {
      parts.onLeft(outcome.reason, 1);
      return delivery.ack();
    }
    if (delayMs !== undefined) {
      const jittered = delayMs * (0.75 + 0.25 * parts.random());
      const askedMs = outcome.kind === "failed" ? (outcome.retryAfterMs ?? 0) : 0;
      return delivery.later(Math.max(jittered, askedMs));
    }
    const { reason } = outcome;
    const buried = await parts.bury({ event, deliveryId, reason, attempts: delivery.attempt }).then(
      () => true,
      () => false,
    );
    return buried ? delivery.ack() : delivery.later(buryAgainMs);
  };

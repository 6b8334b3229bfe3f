import { TriggerServiceService, type Trigger } from "@millrace/proto/trigger";
import type { StreamEvent } from "../receive/event-types.js";
import type { Channel } from "../rpc/channel.js";
import { MillraceError } from "../rpc/millrace-error.js";
import { checkText } from "../units/checks.js";
import {
  toStatusInfo,
  toTriggerInfo,
  toWireTrigger,
  type TriggerInfo,
  type TriggerSettings,
  type TriggerStatusInfo,
} from "./trigger-settings.js";

/** A trigger by name; without a stream, one of every stream. */
export interface TriggerRef {
  id: string;
  stream?: string;
}

/** What is done about events, whether or not this process runs. Changes are live. */
export interface Triggers {
  /** Acts on events from now on. Throws `already_exists` where there is one of that name. */
  create(settings: TriggerSettings): Promise<TriggerInfo>;
  get(trigger: TriggerRef): Promise<TriggerStatusInfo>;
  /** Of one stream, or all there are. */
  list(stream?: string): Promise<TriggerStatusInfo[]>;
  /** Replaces the settings; one that was disabled is tried again. */
  update(settings: TriggerSettings): Promise<TriggerInfo>;
  /** What it had not delivered yet is left out. */
  delete(trigger: TriggerRef): Promise<void>;
}

export function createTriggers(channel: Channel): Triggers {
  const named = (what: string, id: string) => ({ attempted: `${what} trigger ${id}` });
  const infoOf = (trigger: Trigger | undefined): TriggerInfo => toTriggerInfo(present(trigger));
  return {
    async create(settings) {
      const trigger = toWireTrigger(settings);
      // Not repeated after an unknown outcome: it would be told that there is one.
      const call = { ...named("create", trigger.id), repeatable: false };
      return infoOf((await channel.unary(TriggerServiceService.createTrigger, { trigger }, call)).trigger);
    },
    async get({ id, stream = "" }) {
      checkText(id, "id");
      const answer = await channel.unary(TriggerServiceService.getTrigger, { id, stream }, named("get", id));
      return toStatusInfo(present(answer.trigger), answer.status);
    },
    async list(stream = "") {
      const call = { attempted: "list triggers" };
      const { triggers, statuses } = await channel.unary(
        TriggerServiceService.listTriggers,
        { stream },
        call,
      );
      return triggers.map((trigger, at) => toStatusInfo(trigger, statuses[at]));
    },
    async update(settings) {
      const trigger = toWireTrigger(settings);
      const call = named("update", trigger.id);
      return infoOf((await channel.unary(TriggerServiceService.updateTrigger, { trigger }, call)).trigger);
    },
    async delete({ id, stream = "" }) {
      checkText(id, "id");
      const call = { ...named("delete", id), repeatable: false };
      await channel.unary(TriggerServiceService.deleteTrigger, { id, stream }, call);
    },
  };
}

function present(trigger: Trigger | undefined): Trigger {
  if (trigger !== undefined) return trigger;
  throw new MillraceError("internal", "the answer came without its trigger");
}

/** Tells a channel about an event by a `notification` event; resolves with its id. */
export async function notifyChannel(channel: Channel, name: string, event: StreamEvent): Promise<string> {
  checkText(event?.id, "event.id");
  const messages = "contentId" in event ? [{ messageId: event.contentId, sourceId: event.source }] : [];
  const counts = event.type === "privacy_violation" ? event.payload.counts : {};
  const { id: eventId, type: eventType, stream } = event;
  const request = { stream, channel: name, eventId, eventType, messages, counts };
  const call = { attempted: `notify ${name}` };
  return (await channel.unary(TriggerServiceService.notify, request, call)).eventId;
}

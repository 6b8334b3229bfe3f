import { deriveId } from "@millrace/envelope";
import { CodedError } from "@millrace/errors";
import type { TriggerRegistry } from "@millrace/messaging";
import type { Event } from "@millrace/proto/event";
import type { NotifyRequest, NotifyResponse } from "@millrace/proto/trigger";
import { type FindStream, requireStream } from "../../stream/stream-name.js";
import { listensTo } from "../../trigger/listens-to.js";
import { checkName } from "../../trigger/trigger-settings.js";
import type { UnaryCall } from "../../rpc/unary-call.js";
import { type CleanNames, cleanSourceIds } from "../../trigger/clean-source-ids.js";

export interface NotifyParts {
  tenant: string;
  find: FindStream;
  triggers: Pick<TriggerRegistry, "list">;
  /** Resolves when the event is stored. */
  tellEvent(tenant: string, event: Event): Promise<void>;
  cleanNames: CleanNames;
  now(): number;
}

const messagesMax = 1_000;
const idPattern = /^[0-9a-f]{32}$/;
const typePattern = /^[a-z_]{0,64}$/;

/** The same notice of the same event to the same channel is told once. */
export const notifyChannel =
  ({ tenant, find, triggers, tellEvent, cleanNames, now }: NotifyParts) =>
  async (request: NotifyRequest, call: UnaryCall): Promise<NotifyResponse> => {
    const { stream, channel, eventId, eventType, counts } = request;
    await requireStream(find, { tenant, name: stream });
    checkName(channel, "channel");
    checkAbout(request);
    if (!triggers.list(tenant).some((trigger) => listensTo(trigger, { stream, channel }))) {
      throw new CodedError("failed_precondition", `notify ${channel}: nobody listens to it`, {
        field: "channel",
        remedy: "Create a trigger on type notification with the channel in its filter.",
      });
    }
    const given = request.messages.map(({ sourceId }) => sourceId);
    const sourceIds = await cleanSourceIds(cleanNames, { tenant, stream }, given, call.remainingMs());
    const messages = request.messages.map((each, at) => ({ ...each, sourceId: sourceIds[at] ?? "" }));
    const timeMs = Math.round(now());
    const about = messages.map(({ messageId }) => messageId).join();
    const id = deriveId("notification", tenant, stream, channel, eventId || String(timeMs), about);
    const value = { channel, eventId, eventType, messages, counts };
    const payload = { $case: "notification" as const, value };
    await tellEvent(tenant, { id, type: "notification", stream, timeMs, payload });
    return { eventId: id };
  };

/** Notices travel to third parties: ids and counts, and no place for a text. */
function checkAbout({ eventId, eventType, messages, counts }: NotifyRequest): void {
  const invalid = (field: string, remedy: string): CodedError =>
    new CodedError("invalid_argument", `notify: ${field} can't be told`, { field, remedy });
  if (eventId !== "" && !idPattern.test(eventId))
    throw invalid("event_id", "Use the id of an event, or none.");
  if (!typePattern.test(eventType)) throw invalid("event_type", "Use the type of an event, or none.");
  if (messages.length > messagesMax || messages.some(({ messageId }) => !idPattern.test(messageId))) {
    throw invalid("messages", `Name ${messagesMax} messages at most, by their ids.`);
  }
  if (Object.keys(counts).some((type) => !/^[A-Z_]{1,64}$/.test(type))) {
    throw invalid("counts", "Count findings by type, such as EMAIL.");
  }
}

import { CodedError } from "@millrace/errors";
import type { TriggerRegistry, TriggerStore } from "@millrace/messaging";
import type {
  CreateTriggerRequest,
  CreateTriggerResponse,
  DeleteTriggerRequest,
  DeleteTriggerResponse,
  Trigger,
  UpdateTriggerRequest,
  UpdateTriggerResponse,
} from "@millrace/proto/trigger";
import type { UnaryCall } from "../../rpc/unary-call.js";
import { type FindStream, requireStream } from "../../stream/stream-name.js";
import { type CleanNames, cleanSourceIds } from "../../trigger/clean-source-ids.js";
import { type MayAnonymize, requireAnonymizer } from "../../trigger/may-anonymize.js";
import { requireTrigger } from "../../trigger/require-trigger.js";
import { completeTrigger, keepHidden, shownTrigger } from "../../trigger/trigger-settings.js";

export interface ChangeTriggerParts extends MayAnonymize {
  tenant: string;
  find: FindStream;
  triggers: Pick<TriggerRegistry, "list">;
  triggerStore: TriggerStore;
  cleanNames: CleanNames;
  now(): number;
}

/** Each is a consumer on the broker, and a pull of each replica of output. */
const triggersMax = 256;

export const createTrigger =
  (parts: ChangeTriggerParts) =>
  async (request: CreateTriggerRequest, call: UnaryCall): Promise<CreateTriggerResponse> => {
    const { tenant, find, triggers, triggerStore, now } = parts;
    const checked = keepHidden(completeTrigger(request.trigger), undefined);
    const { stream, id } = checked;
    requireAnonymizer(parts, call.metadata, [checked]);
    if (stream !== "") await requireStream(find, { tenant, name: stream }, "trigger.stream");
    if ((await triggerStore.read({ tenant, stream, id })) !== undefined) {
      throw new CodedError("already_exists", `create trigger ${id}: there is one`, {
        field: "trigger.id",
        remedy: "Change it with UpdateTrigger, or use another id.",
      });
    }
    if (triggers.list(tenant).length >= triggersMax) {
      throw new CodedError("resource_exhausted", `create trigger: there are ${triggersMax} already`, {
        field: "trigger",
        remedy: "Delete one; one trigger can name several types of events.",
      });
    }
    const nowMs = Math.round(now());
    const trigger = { ...(await cleaned(parts, checked, call)), createdMs: nowMs, updatedMs: nowMs };
    await triggerStore.put(tenant, trigger, 0);
    return { trigger: shownTrigger(trigger) };
  };

export const updateTrigger =
  (parts: ChangeTriggerParts) =>
  async (request: UpdateTriggerRequest, call: UnaryCall): Promise<UpdateTriggerResponse> => {
    const { tenant, triggerStore, now } = parts;
    const checked = completeTrigger(request.trigger);
    const { stream, id } = checked;
    const fields = { stream: "trigger.stream", id: "trigger.id" };
    const { trigger: before, revision } = await requireTrigger(triggerStore, { tenant, stream, id }, fields);
    requireAnonymizer(parts, call.metadata, [before, checked]);
    // Times tell one change from the next.
    const updatedMs = Math.max(Math.round(now()), before.updatedMs + 1);
    const trigger = {
      ...(await cleaned(parts, keepHidden(checked, before), call)),
      createdMs: before.createdMs,
      updatedMs,
    };
    await triggerStore.put(tenant, trigger, revision);
    return { trigger: shownTrigger(trigger) };
  };

export const deleteTrigger =
  (parts: ChangeTriggerParts) =>
  async ({ stream, id }: DeleteTriggerRequest, call: UnaryCall): Promise<DeleteTriggerResponse> => {
    const { tenant, triggerStore } = parts;
    const { trigger } = await requireTrigger(triggerStore, { tenant, stream, id });
    requireAnonymizer(parts, call.metadata, [trigger]);
    await triggerStore.remove({ tenant, stream, id });
    return {};
  };

/** Source ids in the filter are matched, and stored, as events have them. */
async function cleaned(
  { tenant, cleanNames }: ChangeTriggerParts,
  trigger: Trigger,
  call: UnaryCall,
): Promise<Trigger> {
  const { filter, stream } = trigger;
  if (filter === undefined) return trigger;
  const of = { tenant, stream };
  const sourceIds = await cleanSourceIds(cleanNames, of, filter.sourceIds, call.remainingMs());
  return { ...trigger, filter: { ...filter, sourceIds } };
}

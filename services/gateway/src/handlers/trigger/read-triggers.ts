import type { TriggerName, TriggerRegistry, TriggerStore } from "@millrace/messaging";
import {
  type GetTriggerRequest,
  type GetTriggerResponse,
  type ListTriggersRequest,
  type ListTriggersResponse,
  type Trigger,
  type TriggerReport,
  TriggerState,
  type TriggerStatus,
} from "@millrace/proto/trigger";
import { type FindStream, requireStream } from "../../stream/stream-name.js";
import { requireTrigger } from "../../trigger/require-trigger.js";
import { shownTrigger } from "../../trigger/trigger-settings.js";

export interface ReadTriggersParts {
  tenant: string;
  find: FindStream;
  triggers: Pick<TriggerRegistry, "list">;
  triggerStore: TriggerStore;
  readTriggerReport(of: TriggerName): Promise<TriggerReport | undefined>;
  /** Events that a trigger has not settled. */
  countUnsettled(of: TriggerName, createdMs: number): Promise<number>;
  countTriggerLetters(of: TriggerName): Promise<number>;
}

export const getTrigger =
  (parts: ReadTriggersParts) =>
  async ({ stream, id }: GetTriggerRequest): Promise<GetTriggerResponse> => {
    const { trigger } = await requireTrigger(parts.triggerStore, { tenant: parts.tenant, stream, id });
    return { trigger: shownTrigger(trigger), status: await statusOf(parts, trigger) };
  };

export const listTriggers =
  (parts: ReadTriggersParts) =>
  async ({ stream }: ListTriggersRequest): Promise<ListTriggersResponse> => {
    const { tenant, find, triggers } = parts;
    if (stream !== "") await requireStream(find, { tenant, name: stream });
    const found = triggers
      .list(tenant)
      .filter((trigger) => stream === "" || trigger.stream === stream)
      .sort((one, other) => (nameOf(one) < nameOf(other) ? -1 : 1));
    const statuses = await Promise.all(found.map((trigger) => statusOf(parts, trigger)));
    return { triggers: found.map((trigger) => shownTrigger(trigger)), statuses };
  };

const nameOf = ({ stream, id }: Trigger): string => `${stream}/${id}`;

async function statusOf(parts: ReadTriggersParts, trigger: Trigger): Promise<TriggerStatus> {
  const of = { tenant: parts.tenant, stream: trigger.stream, id: trigger.id };
  const [report, waiting, deadLetters] = await Promise.all([
    parts.readTriggerReport(of),
    parts.countUnsettled(of, trigger.createdMs),
    parts.countTriggerLetters(of),
  ]);
  return {
    state: stateOf(trigger, report),
    waiting,
    deadLetters,
    lastError: report?.lastError ?? "",
    lastErrorMs: report?.lastErrorMs ?? 0,
    lastDoneMs: report?.lastDoneMs ?? 0,
  };
}

function stateOf({ paused, updatedMs }: Trigger, report: TriggerReport | undefined): TriggerState {
  if (paused) return TriggerState.TRIGGER_STATE_PAUSED;
  // What it says of an earlier setting tells nothing of this one.
  if (report === undefined || report.updatedMs !== updatedMs) return TriggerState.TRIGGER_STATE_ACTIVE;
  if (report.disabled) return TriggerState.TRIGGER_STATE_DISABLED;
  return report.failing ? TriggerState.TRIGGER_STATE_FAILING : TriggerState.TRIGGER_STATE_ACTIVE;
}

import { GroupServiceService, type GroupStatus as WireStatus } from "@millrace/proto/group";
import type { Channel } from "../rpc/channel.js";
import { toDate } from "../receive/received-message.js";
import { checkText } from "../units/checks.js";

/** A group of a stream, and how far it is. */
export interface GroupStatus {
  name: string;
  maySkip: boolean;
  maxAttempts: number;
  /** Batches of results that it has not settled, those in hand included. */
  waitingBatches: number;
  inHandBatches: number;
  /** Whether some process works in it. */
  isRead: boolean;
  lastSettled: Date | undefined;
  /** Messages in these batches; of many reckoned from the first 2,000 batches. */
  waitingMessages: number;
  /** When the oldest of them came out of the stream; undefined: none waits. */
  oldestWaiting: Date | undefined;
  /** Processes' calls that share its work, at all gateways. */
  members: number;
  /** Nobody reads it and batches wait for it: once the results budget is full, the stream's sources wait. */
  holdsBack: boolean;
}

export async function listGroups(channel: Channel, stream: string): Promise<GroupStatus[]> {
  const call = { attempted: `list groups of ${stream}` };
  const { groups } = await channel.unary(GroupServiceService.listGroups, { stream }, call);
  return groups.map(toGroupStatus);
}

export function toGroupStatus({ group, lastSettled, oldestWaiting, ...counts }: WireStatus): GroupStatus {
  return {
    name: group?.name ?? "",
    maySkip: group?.maySkip ?? false,
    maxAttempts: group?.maxAttempts ?? 0,
    ...counts,
    lastSettled: toDate(lastSettled),
    oldestWaiting: toDate(oldestWaiting),
  };
}

export async function deleteGroup(channel: Channel, stream: string, group: string): Promise<void> {
  checkText(group, "group");
  const call = { attempted: `delete group ${group} of ${stream}` };
  await channel.unary(GroupServiceService.deleteGroup, { stream, group }, call);
}
